"""Every operation of the table in numpy, written from coremltools' documentation, as an oracle for
the evaluator. Values are float64 (integers and booleans too); the replayer rounds results."""

import math

import numpy as np

ERF = np.vectorize(math.erf)


def axes_of(x, axes):
    return tuple(range(x.ndim)) if axes is None else tuple(int(a) for a in np.atleast_1d(axes))


def fold(f):
    def run(x, axes=None, keep_dims=False):
        return f(x, axis=axes_of(x, axes), keepdims=bool(keep_dims))
    return run


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=int(axis), keepdims=True))
    return e / e.sum(axis=int(axis), keepdims=True)


def matmul(x, y, transpose_x=False, transpose_y=False):
    x = np.swapaxes(x, -1, -2) if transpose_x else x
    y = np.swapaxes(y, -1, -2) if transpose_y else y
    return x @ y


def cumsum(x, axis=0, exclusive=False, reverse=False):
    x = np.flip(x, int(axis)) if reverse else x
    out = np.cumsum(x, int(axis)) - (x if exclusive else 0)
    return np.flip(out, int(axis)) if reverse else out


def gelu(x, mode="EXACT"):
    if mode == "EXACT":
        return 0.5 * x * (1 + ERF(x / math.sqrt(2)))
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / (1 + np.exp(-1.702 * x))


def paddings(x_dims, kernel, strides, dilations, pad_type, pad):
    n = len(kernel)
    if pad_type == "valid":
        return [(0, 0)] * n
    if pad_type == "custom":
        return [(int(pad[2 * i]), int(pad[2 * i + 1])) for i in range(n)]
    out = []
    for d, k, s, w in zip(x_dims, kernel, strides, dilations):
        total = max(0, (math.ceil(d / s) - 1) * s + (k - 1) * w + 1 - d)
        small = total // 2
        out.append((small, total - small) if pad_type == "same" else (total - small, small))
    return out


def patches(x, kernel, strides, dilations, pads, fill, ceil=False):
    """`[N, C, out.., kernel..]`, padding and what ceil mode reaches past the end filled."""
    n = len(kernel)
    outs = []
    for i in range(n):
        room = x.shape[2 + i] + sum(pads[i]) - (kernel[i] - 1) * dilations[i] - 1
        out = (math.ceil(room / strides[i]) if ceil else room // strides[i]) + 1
        if ceil and (out - 1) * strides[i] >= x.shape[2 + i] + pads[i][0] and pads[i][0] > 0:
            out -= 1
        outs.append(out)
    extra = [(outs[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(n)]
    width = [(0, 0), (0, 0)] + [
        (pads[i][0], max(pads[i][1], extra[i] - x.shape[2 + i] - pads[i][0])) for i in range(n)
    ]
    x = np.pad(x, width, constant_values=fill)
    result = np.empty(x.shape[:2] + tuple(outs) + tuple(kernel))
    for place in np.ndindex(*outs):
        for tap in np.ndindex(*kernel):
            at = tuple(p * s + t * d for p, s, t, d in zip(place, strides, tap, dilations))
            result[(slice(None), slice(None)) + place + tap] = x[(slice(None), slice(None)) + at]
    return result


def ones(value, n):
    return [1] * n if value is None else [int(v) for v in value]


def conv(x, weight, bias=None, strides=None, pad_type="valid", pad=None, dilations=None, groups=1):
    n, groups = x.ndim - 2, int(groups)
    strides, dilations = ones(strides, n), ones(dilations, n)
    kernel = weight.shape[2:]
    pads = paddings(x.shape[2:], kernel, strides, dilations, pad_type, pad)
    p = patches(x, kernel, strides, dilations, pads, 0.0)
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    parts = []
    for g in range(groups):
        rows = p[:, g * inputs:(g + 1) * inputs]
        w = weight[g * outputs:(g + 1) * outputs]
        window = [1] + list(range(2 + n, 2 + 2 * n))
        part = np.tensordot(rows, w, axes=(window, list(range(1, 2 + n))))
        parts.append(np.moveaxis(part, -1, 1))
    y = np.concatenate(parts, 1)
    return y if bias is None else y + bias.reshape((1, -1) + (1,) * n)


def conv_transpose(x, weight, bias=None, pad=None, output_shape=None, pad_type="valid",
                   strides=None, dilations=None, groups=1):
    n, groups = x.ndim - 2, int(groups)
    strides, dilations = ones(strides, n), ones(dilations, n)
    kernel, per = weight.shape[2:], weight.shape[1]
    full = [(d - 1) * s + (k - 1) * w + 1
            for d, s, k, w in zip(x.shape[2:], strides, kernel, dilations)]
    out = np.zeros((x.shape[0], per * groups, *full))
    inputs = x.shape[1] // groups
    for g in range(groups):
        for place in np.ndindex(*x.shape[2:]):
            for tap in np.ndindex(*kernel):
                at = tuple(p * s + t * d for p, s, t, d in zip(place, strides, tap, dilations))
                rows = x[(slice(None), slice(g * inputs, (g + 1) * inputs)) + place]
                w = weight[(slice(g * inputs, (g + 1) * inputs), slice(None)) + tap]
                out[(slice(None), slice(g * per, (g + 1) * per)) + at] += rows @ w
    assert pad_type in ("valid", "custom")
    if pad_type == "custom":
        cut = [slice(int(pad[2 * i]), full[i] - int(pad[2 * i + 1])) for i in range(n)]
        out = out[(slice(None), slice(None), *cut)]
    return out if bias is None else out + bias.reshape((1, -1) + (1,) * n)


def pool(reduce, fill):
    def run(x, kernel_sizes, pad_type, strides=None, pad=None, ceil_mode=False,
            exclude_padding_from_average=False):
        n = x.ndim - 2
        kernel, strides = ones(kernel_sizes, n), ones(strides, n)
        pads = paddings(x.shape[2:], kernel, strides, [1] * n, pad_type, pad)
        p = patches(x, kernel, strides, [1] * n, pads, fill, bool(ceil_mode))
        inside = patches(np.ones_like(x), kernel, strides, [1] * n, pads, 0.0, bool(ceil_mode))
        last = tuple(range(-n, 0))
        return reduce(p, inside, last, bool(exclude_padding_from_average))
    return run


def slice_by_index(x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    def flag(mask, axis):
        return mask is not None and bool(mask[axis])
    index = []
    for axis in range(x.ndim):
        step = 1 if stride is None else int(stride[axis])
        if flag(squeeze_mask, axis):
            index.append(int(begin[axis]))
            continue
        index.append(slice(None if flag(begin_mask, axis) else int(begin[axis]),
                           None if flag(end_mask, axis) else int(end[axis]), step))
    return x[tuple(index)]


def slice_by_size(x, begin, size):
    index = []
    for axis in range(x.ndim):
        first, count = int(begin[axis]), int(size[axis])
        index.append(slice(first, x.shape[axis] if count == -1 else first + count))
    return x[tuple(index)]


def concat(values, axis, interleave=False):
    if not interleave:
        return np.concatenate(values, int(axis))
    joined = np.stack(values, int(axis) + 1)
    shape = list(values[0].shape)
    shape[int(axis)] *= len(values)
    return joined.reshape(shape)


def split(x, axis, num_splits=None, split_sizes=None):
    if split_sizes is None:
        return np.split(x, int(num_splits), int(axis))
    return np.split(x, np.cumsum(split_sizes)[:-1].astype(int), int(axis))


def pad(x, pad, mode="constant", constant_val=0.0):
    amounts = [(0, 0)] * (x.ndim - len(pad) // 2)
    amounts += [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    if mode == "constant":
        return np.pad(x, amounts, constant_values=constant_val)
    return np.pad(x, amounts, mode={"reflect": "reflect", "replicate": "edge"}[mode])


def per_axis(p, x, axis):
    if p is None or np.ndim(p) == 0:
        return 0.0 if p is None else p
    shape = [1] * x.ndim
    shape[int(axis)] = -1
    return np.asarray(p).reshape(shape)


def quantize(input, scale, output_dtype, zero_point=None, axis=None):
    least, most = {"int8": (-128, 127), "uint8": (0, 255)}[output_dtype]
    zero = per_axis(zero_point, input, axis)
    return np.clip(np.round(input / per_axis(scale, input, axis)) + zero, least, most)


def dequantize(input, scale, zero_point=None, axis=None):
    return (input - per_axis(zero_point, input, axis)) * per_axis(scale, input, axis)


def blockwise(data, scale, offset=None):
    for axis, (d, s) in enumerate(zip(data.shape, scale.shape)):
        scale = np.repeat(scale, d // s, axis)
        offset = None if offset is None else np.repeat(offset, d // s, axis)
    return (data - (0 if offset is None else offset)) * scale


def palette(indices, lut, vector_axis=None):
    tables = lut.shape[:-2]
    out = np.empty(indices.shape)
    for place in np.ndindex(*indices.shape):
        table = tuple(p // (d // t) for p, d, t in zip(place, indices.shape, tables))
        out[place] = lut[table + (int(indices[place]), 0)]
    return out


def sparse(nonzero_data, mask):
    out = np.zeros(mask.shape)
    out[mask.astype(bool)] = nonzero_data
    return out


def norm(x, axes, gamma, beta, epsilon, shape):
    mean = x.mean(axes, keepdims=True)
    var = ((x - mean) ** 2).mean(axes, keepdims=True)
    y = (x - mean) / np.sqrt(var + epsilon)
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def layer_norm(x, axes=None, gamma=None, beta=None, epsilon=1e-5):
    axes = tuple(a % x.ndim for a in axes_of(x, axes))
    shape = [d if a in axes else 1 for a, d in enumerate(x.shape)]
    return norm(x, axes, gamma, beta, epsilon, shape)


def channel(x):
    return (1, -1) + (1,) * (x.ndim - 2)


def batch_norm(x, mean, variance, gamma=None, beta=None, epsilon=1e-5):
    y = (x - mean.reshape(channel(x))) / np.sqrt(variance.reshape(channel(x)) + epsilon)
    y = y if gamma is None else y * gamma.reshape(channel(x))
    return y if beta is None else y + beta.reshape(channel(x))


def attention(query, key, value, attn_mask=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    return softmax(scores if attn_mask is None else scores + attn_mask) @ value


def cast(x, dtype):
    return (x != 0) if dtype == "bool" else np.trunc(x) if "int" in dtype else x


OPS = {
    "abs": np.abs, "acos": np.arccos, "asin": np.arcsin, "atan": np.arctan, "ceil": np.ceil,
    "cos": np.cos, "cosh": np.cosh, "erf": ERF, "exp": np.exp, "exp2": np.exp2, "floor": np.floor,
    "round": np.round, "sign": np.sign, "sin": np.sin, "sinh": np.sinh, "sqrt": np.sqrt,
    "square": np.square, "tan": np.tan, "tanh": np.tanh,
    "identity": lambda x: x, "logical_not": lambda x: 1 - x,
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)), "softsign": lambda x: x / (1 + np.abs(x)),
    "gelu": gelu, "softmax": softmax, "cumsum": cumsum, "cast": cast,
    "log": lambda x, epsilon=1e-45: np.log(x + epsilon),
    "rsqrt": lambda x, epsilon=1e-12: 1 / np.sqrt(x + epsilon),
    "inverse": lambda x, epsilon=1e-4: 1 / (x + epsilon),
    "clip": lambda x, alpha, beta: np.clip(x, alpha, beta),
    "clamped_relu": lambda x, alpha, beta: np.minimum(np.where(x >= 0, x, alpha * x), beta),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)),
    "leaky_relu": lambda x, alpha: np.where(x >= 0, x, alpha * x),
    "linear_activation": lambda x, alpha, beta: alpha * x + beta,
    "scaled_tanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "sigmoid_hard": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "threshold": lambda x, alpha: np.maximum(x, alpha),
    "thresholded_relu": lambda x, alpha: np.where(x >= alpha, x, 0),
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "real_div": np.divide,
    "maximum": np.maximum, "minimum": np.minimum, "pow": np.power, "mod": np.mod,
    "floor_div": np.floor_divide, "equal": np.equal, "not_equal": np.not_equal,
    "greater": np.greater, "greater_equal": np.greater_equal, "less": np.less,
    "less_equal": np.less_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "select": lambda cond, a, b: np.where(cond, a, b),
    "reduce_sum": fold(np.sum), "reduce_mean": fold(np.mean), "reduce_max": fold(np.max),
    "reduce_min": fold(np.min), "reduce_prod": fold(np.prod),
    "reduce_l1_norm": fold(lambda x, **k: np.sum(np.abs(x), **k)),
    "reduce_l2_norm": fold(lambda x, **k: np.sqrt(np.sum(x * x, **k))),
    "reduce_sum_square": fold(lambda x, **k: np.sum(x * x, **k)),
    "reduce_log_sum": fold(lambda x, **k: np.log(np.sum(x, **k))),
    "reduce_log_sum_exp": fold(lambda x, **k: np.log(np.sum(np.exp(x), **k))),
    "reduce_argmax": lambda x, axis=-1, keep_dims=False:
        np.argmax(x, int(axis), keepdims=bool(keep_dims)),
    "matmul": matmul, "conv": conv, "conv_transpose": conv_transpose,
    "linear": lambda x, weight, bias=None: x @ weight.T + (0 if bias is None else bias),
    "scaled_dot_product_attention": attention,
    "avg_pool": pool(lambda p, i, last, exclude:
                     p.sum(last) / (i.sum(last) if exclude else np.prod([p.shape[a] for a in last])),
                     0.0),
    "max_pool": pool(lambda p, i, last, _: p.max(last), -np.inf),
    "l2_pool": pool(lambda p, i, last, _: np.sqrt((p * p).sum(last)), 0.0),
    "layer_norm": layer_norm, "batch_norm": batch_norm,
    "instance_norm": lambda x, gamma=None, beta=None, epsilon=1e-5:
        norm(x, tuple(range(2, x.ndim)), gamma, beta, epsilon, channel(x)),
    "l2_norm": lambda x, epsilon=1e-6:
        x / np.sqrt((x * x).sum((-3, -2, -1), keepdims=True) + epsilon),
    "reshape": lambda x, shape: x.reshape([int(d) for d in shape]),
    "transpose": lambda x, perm: np.transpose(x, [int(a) for a in perm]),
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(int(a) for a in axes)),
    "squeeze": lambda x, axes=None: np.squeeze(x, None if axes is None else axes_of(x, axes)),
    "flatten2d": lambda x, axis=1: x.reshape(int(np.prod(x.shape[:int(axis)])), -1),
    "reverse": lambda x, axes=None: np.flip(x, axes_of(x, axes)),
    "tile": lambda x, reps: np.tile(x, [int(r) for r in reps]),
    "stack": lambda values, axis: np.stack(values, int(axis)),
    "fill": lambda shape, value=0.0: np.full([int(d) for d in shape], value),
    "gather": lambda x, indices, axis=0, batch_dims=0, validate_indices=False:
        np.take(x, indices.astype(int), int(axis)),
    "slice_by_index": slice_by_index, "slice_by_size": slice_by_size, "concat": concat,
    "split": split, "pad": pad, "quantize": quantize, "dequantize": dequantize,
    "constexpr_affine_dequantize": lambda quantized_data, zero_point, scale, axis:
        dequantize(quantized_data, scale, zero_point, axis),
    "constexpr_blockwise_shift_scale": blockwise,
    "constexpr_lut_to_dense": palette,
    "constexpr_sparse_to_dense": sparse,
    "constexpr_cast": lambda source_val, output_dtype: source_val,
}
