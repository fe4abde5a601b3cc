//! The table of faults. `{sound|faulty}` marks the place; types are spelled as in error messages.

/// Name, inputs of the function, its statements, which return `y`, and what the refusal says.
type Statements = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// Name, a whole program with `<<` and `>>` for its braces, and what the refusal says.
type Text = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip] // one line a fault
pub(super) const STATEMENTS: &[Statements] = &[
    // Words and types.
    ("unknown_operation", "fp16[4, 8] a", "fp16[4, 8] y = {relu|rellu}(x = a);", &["`rellu` is no operation"]),
    ("unknown_element_type", "fp16[4, 8] a", "{fp16|fp17}[4, 8] y = relu(x = a);", &["`fp17` is no element type"]),
    ("unknown_scalar_type", "fp16[4, 8] a", "{fp16|half} c = const()[val = fp16(2)]; fp16[4, 8] y = mul(x = a, y = c);", &["`half` is no type"]),
    ("dimension_unknown", "fp16[4, {8|?}] a", "fp16[4, 8] y = relu(x = a);", &["expected a dimension, a whole number: shapes are static"]),
    ("dimension_zero", "fp16[4, {8|0}] a", "fp16[4, {8|0}] y = relu(x = a);", &["the shape [4, 0] cannot be: dimension 0 is not from 1"]),
    ("dimension_huge", "fp16[4, 8] a", "fp16[{4|2147483648}, 8] y = relu(x = a);", &["the shape [2147483648, 8] cannot be: dimension 2147483648"]),
    ("input_rank", "fp16[1, 1, 1, {2|2, 1}, 4] a", "fp16[8] y = reshape(x = a, shape = int32[1]([8]));", &["input `a` is fp16[1, 1, 1, 2, 1, 4]; expected numbers of rank 1 to 5"]),
    ("input_scalar", "{fp16[1]|fp16} a", "fp16[1] y = relu(x = a);", &["input `a` is a scalar"]),
    ("input_string", "{fp16|string}[1] a, fp16[1] b", "fp16[1] y = relu(x = b);", &["input `a` is string[1]; expected numbers"]),
    ("result_rank", "fp16[1, 2, 3, 4] a", "fp16[1, 1, 2, 3, {4|4, 1}] y = expand_dims(x = a, axes = int32[{1|2}]([0{|, -1}]));", &["expand_dims `y`: makes a value of rank 6, expected at most 5"]),

    // Arguments.
    ("argument_missing", "fp16[4, 8] a, fp16[8, 6] b", "fp16[4, 6] y = matmul(x = a{, y = b|});", &["matmul `y`: `y` is missing"]),
    ("argument_unknown", "fp16[4, 8] a", "fp16[4, 8] y = relu({x|input} = a);", &["relu has no parameter `input`; it has x"]),
    ("argument_twice", "fp16[4, 8] a, fp16[4, 8] b", "fp16[4, 8] y = sub(x = a, {y|x} = b);", &["`x` is given twice"]),
    ("argument_no_constant", "fp16[4, 8] a, int32[1] n", "fp16[4, 8] y = reverse(x = a, axes = {int32[1]([1])|n});", &["reverse `y`: `axes` must be a constant"]),
    ("argument_no_list", "fp16[4, 8] a", "fp16[4, 8] y = concat(values = {(a)|a}, axis = int32(0));", &["concat `y`: `values` takes a list"]),
    ("argument_list", "fp16[4, 8] a", "fp16[4, 8] y = relu(x = {a|(a)});", &["relu `y`: `x` takes one operand"]),
    ("list_empty", "fp16[4, 8] a", "fp16[4, 8] y = concat(values = ({a|}), axis = int32(0));", &["concat `y`: `values` is an empty list"]),
    ("element_type", "{fp16|int32}[4, 8] a", "{fp16|int32}[4, 8] y = sigmoid(x = a);", &["sigmoid `y`: `x` is int32, expected one of fp16, fp32"]),
    ("element_types_mixed", "fp16[4, 8] a, {fp16|int32}[4, 8] b", "fp16[4, 8] y = add(x = a, y = b);", &["add `y`: `y` is int32 and `x` fp16; cast one of them"]),
    ("condition_type", "{bool|int32}[4] c, fp16[4] a, fp16[4] b", "fp16[4] y = select(cond = c, a = a, b = b);", &["select `y`: `cond` is int32, expected one of bool"]),
    ("logical_type", "{bool|fp16}[4] a", "bool[4] y = logical_not(x = a);", &["logical_not `y`: `x` is fp16, expected one of bool"]),

    // Names and results.
    ("value_twice", "fp16[4, 8] a", "fp16[4, 8] b = relu(x = a); fp16[4, 8] {c|b} = exp(x = a); fp16[4, 8] y = add(x = b, y = b);", &["`b` is defined twice"]),
    ("input_twice", "fp16[4, 8] a, fp16[4, 8] {b|a}", "fp16[4, 8] y = relu(x = a);", &["`a` is defined twice"]),
    ("value_undefined", "fp16[4, 8] a", "fp16[4, 8] y = relu(x = {a|b});", &["`b` is not defined before this"]),
    ("value_used_before", "fp16[4, 8] a", "fp16[4, 8] y = relu(x = {a|b}); fp16[4, 8] b = exp(x = a);", &["`b` is not defined before this"]),
    ("value_used_by_itself", "fp16[4, 8] a", "fp16[4, 8] y = relu(x = {a|y});", &["`y` is not defined before this"]),
    ("value_named_by_a_type", "fp16[4, 8] a", "fp16[4, 8] {b|fp16} = relu(x = a); fp16[4, 8] y = relu(x = a);", &["`fp16` cannot be a value's name"]),
    ("result_shape", "fp16[4, 8] a", "fp16[4, {8|9}] y = relu(x = a);", &["relu `y`: makes fp16[4, 8], the statement declares fp16[4, 9]"]),
    ("result_type", "fp16[4, 8] a", "{fp16|fp32}[4, 8] y = relu(x = a);", &["relu `y`: makes fp16[4, 8], the statement declares fp32[4, 8]"]),
    ("result_count", "fp16[4, 8] a", "fp16[4, 4] y{, fp16[4, 4] z|} = split(x = a, num_splits = int32(2), axis = int32(1));", &["split `y`: makes 2 results, 1 are declared"]),
    ("constant_type", "fp16[4, 8] a", "fp16 c = const()[val = {fp16|fp32}(2)]; fp16[4, 8] y = mul(x = a, y = c);", &["const `c`: makes fp32, the statement declares fp16"]),
    ("constant_missing", "fp16[4, 8] a", "fp16 c = const()[{val|value} = fp16(2)]; fp16[4, 8] y = mul(x = a, y = c);", &["const `c`: has no parameter `value`; it has val"]),

    // Literals.
    ("literal_count", "fp16[4, 8] a", "fp16[2, 4, 4] y = reshape(x = a, shape = int32[3]([2, 4{, 4|}]));", &["int32[3] takes 3 elements, found 2"]),
    ("literal_row", "fp16[2, 2] a", "fp16[2, 2] y = add(x = a, y = fp16[2, 2]([[1, 2], [3{, 4|}]]));", &["a row of fp16[2, 2] takes 2 elements, found 1"]),
    ("literal_range", "fp16[4, 8] a", "int8 c = const()[val = int8({127|128})]; fp16[4, 8] y = relu(x = a);", &["128 is not from -128 to 127"]),
    ("literal_negative", "fp16[4, 8] a", "uint8 c = const()[val = uint8({1|-1})]; fp16[4, 8] y = relu(x = a);", &["-1 is not from 0 to 255"]),
    ("literal_fraction", "fp16[4, 8] a", "fp16[4, 8] y = softmax(x = a, axis = int32({1|0.5}));", &["0.5 does not fit int32"]),
    ("literal_overflow", "fp16[4, 8] a", "fp16[4, 8] y = add(x = a, y = fp16({65504|70000}));", &["70000 does not fit fp16"]),
    ("literal_boolean", "fp16[4, 8] a", "fp16[4, 1] y = reduce_sum(x = a, axes = int32[1]([1]), keep_dims = bool({true|1}));", &["expected true or false"]),
    ("literal_list_for_scalar", "fp16[4, 8] a", "fp16[4, 8] y = softmax(x = a, axis = int32({1|[1]}));", &["a scalar takes one value, not a list"]),
    ("literal_scalar_for_list", "fp16[4, 8] a", "fp16[2, 16] y = reshape(x = a, shape = int32[2]({[2, 16]|2}));", &["int32[2] takes a list of 2 elements"]),
    ("blob_offset_in_header", "fp16[4] a", "fp16[4] c = const()[val = fp16[4](BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64({64|0})))]; fp16[4] y = add(x = a, y = c);", &["a constant of type fp16[4]", "offset 0 lies in the header of `@model_path/weights/weight.bin`", "from 64 on"]),
    ("blob_offset_negative", "fp16[4] a", "fp16[4] c = const()[val = fp16[4](BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = int64({64|-64})))]; fp16[4] y = add(x = a, y = c);", &["fp16[4]", "an offset, a number that is not negative"]),
    ("blob_path_missing", "fp16[4] a", "fp16[4] c = const()[val = fp16[4](BLOBFILE({path = string(\"@model_path/weights/weight.bin\"), |}offset = uint64(64)))]; fp16[4] y = add(x = a, y = c);", &["fp16[4]", "needs a path"]),
    ("blob_type", "fp16[4] a", "{fp16|bool}[4] c = const()[val = {fp16|bool}[4](BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))]; fp16[4] y = relu(x = a);", &["bool[4]", "weight files do not hold this type"]),
    ("axes_in_weight_file", "fp16[4] a", "fp16[4] y = reverse(x = a, axes = {int32[1]([0])|int32[1](BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))});", &["reverse `y`: `axes` must be written out, not in a weight file"]),

    // Element by element.
    ("broadcast", "fp16[4, 8] a, fp16[{4|3}, 8] b", "fp16[4, 8] y = add(x = a, y = b);", &["add `y`: `x` [4, 8] and `y` [3, 8] do not broadcast"]),
    ("broadcast_at_the_start", "fp16[4, 8] a, fp16[{8|4}] b", "fp16[4, 8] y = mul(x = a, y = b);", &["mul `y`: `x` [4, 8] and `y` [4] do not broadcast"]),
    ("select_broadcast", "bool[4, {1|2}] c, fp16[4, 8] a, fp16[4, 8] b", "fp16[4, 8] y = select(cond = c, a = a, b = b);", &["select `y`: `cond` [4, 2], `a` [4, 8] and `b` [4, 8] do not broadcast"]),
    ("cast_type", "fp16[4] a", "fp32[4] y = cast(x = a, dtype = string(\"{fp32|fp8}\"));", &["cast `y`: `dtype` is \"fp8\", expected one of fp16, fp32"]),
    ("gelu_mode", "fp16[4] a", "fp16[4] y = gelu(x = a, mode = string(\"{EXACT|FAST}\"));", &["gelu `y`: `mode` is \"FAST\", expected EXACT"]),
    ("quantize_type", "fp16[4] a", "{int8|int4}[4] y = quantize(input = a, scale = fp16(0.5), output_dtype = string(\"{int8|int4}\"));", &["quantize `y`: `output_dtype` is \"int4\", expected one of int8, uint8"]),
    ("quantize_scale", "fp16[4, 2] a", "int8[4, 2] y = quantize(input = a, scale = fp16[{2|3}]([0.5, 1{|, 1}]), axis = int32(1), output_dtype = string(\"int8\"));", &["quantize `y`: `scale` has shape [3]", "as long as `axis` of [4, 2]"]),
    ("dequantize_zero_point", "int8[4] a", "fp16[4] y = dequantize(input = a, scale = fp16(0.5), zero_point = {int8|uint8}(1));", &["dequantize `y`: `zero_point` is uint8 and `input` int8"]),

    // Products and windows.
    ("matmul_inner", "fp16[4, 8] a, fp16[{8|7}, 6] b", "fp16[4, 6] y = matmul(x = a, y = b);", &["matmul `y`: inner dimensions differ: `x` [4, 8] gives 8, `y` [7, 6] gives 7"]),
    ("matmul_transposed", "fp16[4, 8] a, fp16[6, 8] b", "fp16[4, 6] y = matmul(x = a, y = b, transpose_y = bool({true|false}));", &["matmul `y`: inner dimensions differ: `x` [4, 8] gives 8, `y` [6, 8] gives 6"]),
    ("matmul_leading", "fp16[3, 4, 8] a, fp16[{3|2}, 8, 6] b", "fp16[3, 4, 6] y = matmul(x = a, y = b);", &["matmul `y`: leading dimensions of [3, 4, 8] and [2, 8, 6] do not broadcast"]),
    ("linear_width", "fp16[5, 2] a", "fp16[5, 1] y = linear(x = a, weight = fp16[1, {2|3}]([1, 1{|, 1}]));", &["linear `y`: `weight` [1, 3] does not go with `x` [5, 2]; expected [outputs, 2]"]),
    ("linear_bias", "fp16[5, 2] a", "fp16[5, 1] y = linear(x = a, weight = fp16[1, 2]([1, 1]), bias = fp16[{1|2}]([0{|, 0}]));", &["linear `y`: `bias` has [2], expected [1]"]),
    ("conv_channels", "fp16[1, 8, 1, 16] a, fp16[4, {8|6}, 1, 1] w", "fp16[1, 4, 1, 16] y = conv(x = a, weight = w);", &["conv `y`: `weight` [4, 6, 1, 1] does not go with `x` [1, 8, 1, 16] in 1 groups"]),
    ("conv_groups", "fp16[1, 8, 1, 16] a, fp16[4, 4, 1, 1] w", "fp16[1, 4, 1, 16] y = conv(x = a, weight = w, groups = int32({2|3}));", &["conv `y`: `weight` [4, 4, 1, 1] does not go with `x` [1, 8, 1, 16] in 3 groups"]),
    ("conv_outputs_in_groups", "fp16[1, 8, 1, 16] a, fp16[{4|3}, 4, 1, 1] w", "fp16[1, {4|3}, 1, 16] y = conv(x = a, weight = w, groups = int32(2));", &["conv `y`: `weight` [3, 4, 1, 1] does not go with `x` [1, 8, 1, 16] in 2 groups"]),
    ("conv_groups_zero", "fp16[1, 8, 1, 16] a, fp16[4, 8, 1, 1] w", "fp16[1, 4, 1, 16] y = conv(x = a, weight = w, groups = int32({1|0}));", &["conv `y`: `groups` is 0, expected 1 or more"]),
    ("conv_weight_rank", "fp16[1, 8, 1, 16] a, fp16[4, 8, 1{, 1|}] w", "fp16[1, 4, 1, 16] y = conv(x = a, weight = w);", &["conv `y`: `weight` [4, 8, 1] does not go with `x` [1, 8, 1, 16]"]),
    ("conv_input_rank", "fp16[{1, 8, 16|8, 16}] a, fp16[4, 8, 1] w", "fp16[1, 4, 16] y = conv(x = a, weight = w);", &["conv `y`: `x` [8, 16] must have rank 3 to 5"]),
    ("conv_window", "fp16[1, 8, 1, 16] a, fp16[4, 8, 1, {16|17}] w", "fp16[1, 4, 1, 1] y = conv(x = a, weight = w);", &["conv `y`: the window of 17 does not fit into 16 padded elements"]),
    ("conv_bias", "fp16[1, 2, 1, 16] a, fp16[2, 2, 1, 1] w", "fp16[1, 2, 1, 16] y = conv(x = a, weight = w, bias = fp16[{2|3}]([0, 0{|, 0}]));", &["conv `y`: `bias` has [3], expected [2]"]),
    ("conv_strides", "fp16[1, 8, 1, 16] a, fp16[4, 8, 1, 1] w", "fp16[1, 4, 1, 16] y = conv(x = a, weight = w, strides = int32[{2|3}]([1, 1{|, 1}]));", &["conv `y`: `strides` [1, 1, 1] must hold a positive number for each of the 2 axes"]),
    ("conv_padding", "fp16[1, 8, 1, 16] a, fp16[4, 8, 1, 1] w", "fp16[1, 4, 1, 18] y = conv(x = a, weight = w, pad_type = string(\"custom\"), pad = int32[{4|2}]([{0, 0, |}1, 1]));", &["conv `y`: `pad` [1, 1] must hold two non-negative numbers for each of 2 axes"]),
    ("conv_padding_type", "fp16[1, 8, 1, 16] a, fp16[4, 8, 1, 1] w", "fp16[1, 4, 1, 16] y = conv(x = a, weight = w, pad_type = string(\"{valid|full}\"));", &["conv `y`: `pad_type` is \"full\", expected valid, same"]),
    ("conv_transpose_channels", "fp16[1, 8, 1, 16] a, fp16[{8|4}, 4, 1, 1] w", "fp16[1, 4, 1, 16] y = conv_transpose(x = a, weight = w);", &["conv_transpose `y`: `weight` [4, 4, 1, 1] does not go with `x` [1, 8, 1, 16]"]),
    ("pool_kernel", "fp16[1, 2, 4, 4] a", "fp16[1, 2, 3, 3] y = max_pool(x = a, kernel_sizes = int32[{2|1}]([2{, 2|}]), pad_type = string(\"valid\"));", &["max_pool `y`: `kernel_sizes` [2] must hold a positive number for each of 2 axes"]),
    ("attention_widths", "fp16[2, 4, 8] q, fp16[2, 6, {8|7}] k, fp16[2, 6, 5] v", "fp16[2, 4, 5] y = scaled_dot_product_attention(query = q, key = k, value = v);", &["scaled_dot_product_attention `y`: query, key and value are [2, 4, 8], [2, 6, 7], [2, 6, 5]"]),
    ("attention_mask", "fp16[2, 4, 8] q, fp16[2, 6, 8] k, fp16[2, 6, 5] v, fp16[4, {6|5}] m", "fp16[2, 4, 5] y = scaled_dot_product_attention(query = q, key = k, value = v, attn_mask = m);", &["scaled_dot_product_attention `y`: `attn_mask` [4, 5] does not broadcast to the scores [2, 4, 6]"]),

    // Axes.
    ("softmax_axis", "fp16[4, 8] a", "fp16[4, 8] y = softmax(x = a, axis = int32({-2|-3}));", &["softmax `y`: `axis` is -3, which [4, 8] does not have; expected from -2 to 1"]),
    ("reduce_axis", "fp16[4, 8] a", "fp16[4, 1] y = reduce_sum(x = a, axes = int32[1]([{1|2}]), keep_dims = bool(true));", &["reduce_sum `y`: `axes` holds 2, which [4, 8] does not have"]),
    ("reduce_axes_repeated", "fp16[4, 8] a", "fp16[1, 1] y = reduce_max(x = a, axes = int32[2]([0, {1|-2}]), keep_dims = bool(true));", &["reduce_max `y`: `axes` names axis 0 twice"]),
    ("reduce_keep_dims", "fp16[4, 8] a", "fp16[4, 1] y = reduce_sum(x = a, axes = int32[1]([1]), keep_dims = bool({true|false}));", &["reduce_sum `y`: makes fp16[4], the statement declares fp16[4, 1]"]),
    ("expand_dims_axis", "fp16[4, 8] a", "fp16[4, 8, 1] y = expand_dims(x = a, axes = int32[1]([{2|3}]));", &["expand_dims `y`: `axes` [3] are no distinct axes of a result of rank 3"]),
    ("squeeze_axis", "fp16[1, 8] a", "fp16[8] y = squeeze(x = a, axes = int32[1]([{0|1}]));", &["squeeze `y`: axis 1 of `x` [1, 8] is 8, not 1"]),
    ("layer_norm_gamma", "fp16[4, 2] a", "fp16[4, 2] y = layer_norm(x = a, axes = int32[1]([1]), gamma = fp16[{2|3}]([1, 1{|, 1}]));", &["layer_norm `y`: `gamma` has shape [3], expected [2]"]),
    ("batch_norm_mean", "fp16[1, 2, 4] a", "fp16[1, 2, 4] y = batch_norm(x = a, mean = fp16[{2|3}]([0, 0{|, 0}]), variance = fp16[2]([1, 1]));", &["batch_norm `y`: `mean` has shape [3], expected [2]"]),

    // Moving and joining.
    ("reshape_elements", "fp16[4, 8] a", "fp16[8, {4|5}] y = reshape(x = a, shape = int32[2]([8, {4|5}]));", &["reshape `y`: `x` [4, 8] to [8, 5]: it has 32 elements"]),
    ("reshape_open_twice", "fp16[4, 8] a", "fp16[8, 4] y = reshape(x = a, shape = int32[2]([-1, {4|-1}]));", &["reshape `y`: `x` [4, 8] to [-1, -1]: only one dimension may be -1"]),
    ("reshape_negative", "fp16[4, 8] a", "fp16[8, 4] y = reshape(x = a, shape = int32[2]([8, {4|-4}]));", &["reshape `y`: `x` [4, 8] to [8, -4]: dimensions must be positive"]),
    ("transpose_repeated", "fp16[4, 8] a", "fp16[8, 4] y = transpose(x = a, perm = int32[2]([1, {0|1}]));", &["transpose `y`: `perm` [1, 1] is no order of the axes of `x` [4, 8]"]),
    ("transpose_length", "fp16[4, 8] a", "fp16[8, 4] y = transpose(x = a, perm = int32[{2|3}]([1, 0{|, 2}]));", &["transpose `y`: `perm` [1, 0, 2] is no order of the axes of `x` [4, 8]"]),
    ("slice_begin", "fp16[4, 8] a", "fp16[4, 1] y = slice_by_size(x = a, begin = int32[2]([0, {7|8}]), size = int32[2]([4, 1]));", &["slice_by_size `y`: axis 1 of `x` [4, 8] has 8 elements; cannot take 1 from 8 on"]),
    ("slice_end", "fp16[4, 8] a", "fp16[4, {6|7}] y = slice_by_size(x = a, begin = int32[2]([0, 2]), size = int32[2]([4, {6|7}]));", &["slice_by_size `y`: axis 1 of `x` [4, 8] has 8 elements; cannot take 7 from 2 on"]),
    ("slice_size_negative", "fp16[4, 8] a", "fp16[4, 6] y = slice_by_size(x = a, begin = int32[2]([0, 2]), size = int32[2]([4, {6|-2}]));", &["slice_by_size `y`: axis 1 of `x` [4, 8] has 8 elements; cannot take -2 from 2 on"]),
    ("slice_rank", "fp16[4, 8] a", "fp16[4, 6] y = slice_by_size(x = a, begin = int32[{2|1}]([{0, |}2]), size = int32[2]([4, 6]));", &["slice_by_size `y`: `begin` [2] and `size` [4, 6] must hold one number for each axis of `x` [4, 8]"]),
    ("slice_by_index_end", "fp16[4, 8] a", "fp16[4, {6|7}] y = slice_by_index(x = a, begin = int32[2]([0, 2]), end = int32[2]([4, {8|9}]));", &["slice_by_index `y`: axis 1 of `x` [4, 8] has 8 elements; cannot go from 2 to 9 by 1"]),
    ("slice_by_index_empty", "fp16[4, 8] a", "fp16[4, 1] y = slice_by_index(x = a, begin = int32[2]([0, {2|3}]), end = int32[2]([4, 3]));", &["slice_by_index `y`: axis 1 of `x` [4, 8] has 8 elements; cannot go from 3 to 3 by 1"]),
    ("slice_by_index_stride", "fp16[4, 8] a", "fp16[4, 8] y = slice_by_index(x = a, begin = int32[2]([0, 0]), end = int32[2]([4, 8]), stride = int32[2]([1, {1|0}]));", &["slice_by_index `y`: axis 1 of `x` [4, 8] has 8 elements; cannot go from 0 to 8 by 0"]),
    ("concat_shapes", "fp16[4, 8] a, fp16[{4|3}, 2] b", "fp16[4, 10] y = concat(values = (a, b), axis = int32(1));", &["concat `y`: [4, 8] and [3, 2] do not join along axis 1"]),
    ("concat_ranks", "fp16[4, 8] a, fp16[4, 2{|, 1}] b", "fp16[4, 10] y = concat(values = (a, b), axis = int32(1));", &["concat `y`: [4, 8] and [4, 2, 1] do not join along axis 1"]),
    ("concat_types", "fp16[4, 8] a, {fp16|fp32}[4, 2] b", "fp16[4, 10] y = concat(values = (a, b), axis = int32(1));", &["concat `y`: `values` is fp32 and `values` fp16; cast one of them"]),
    ("stack_shapes", "fp16[4, 8] a, fp16[4, {8|1}] b", "fp16[2, 4, 8] y = stack(values = (a, b), axis = int32(0));", &["stack `y`: [4, 8] and [4, 1] do not stack"]),
    ("split_sizes", "fp16[4, 8] a", "fp16[4, 3] y, fp16[4, 5] z = split(x = a, split_sizes = int32[2]([3, {5|6}]), axis = int32(1));", &["split `y`: `split_sizes` [3, 6] are no parts of 8"]),
    ("split_count", "fp16[4, 8] a", "fp16[4, 4] y, fp16[4, 4] z = split(x = a, num_splits = int32({2|3}), axis = int32(1));", &["split `y`: 8 does not split into 3 equal parts"]),
    ("pad_length", "fp16[4, 8] a", "fp16[4, 9] y = pad(x = a, pad = int32[{4|3}]([0, 0, 0{, 1|}]), mode = string(\"constant\"), constant_val = fp16(0));", &["pad `y`: `pad` [0, 0, 0] must hold two non-negative numbers"]),
    ("pad_rank", "fp16[4, 8] a", "fp16[4, 9] y = pad(x = a, pad = int32[{4|6}]([{|0, 0, }0, 0, 0, 1]), mode = string(\"constant\"), constant_val = fp16(0));", &["pad `y`: `pad` [0, 0, 0, 0, 0, 1] must hold two non-negative numbers for each of the last axes of [4, 8]"]),
    ("pad_negative", "fp16[4, 8] a", "fp16[4, {9|7}] y = pad(x = a, pad = int32[4]([0, 0, 0, {1|-1}]), mode = string(\"constant\"), constant_val = fp16(0));", &["pad `y`: `pad` [0, 0, 0, -1] must hold two non-negative numbers"]),
    ("pad_mode", "fp16[4, 8] a", "fp16[4, 9] y = pad(x = a, pad = int32[4]([0, 0, 0, 1]), mode = string(\"{constant|zero}\"), constant_val = fp16(0));", &["pad `y`: `mode` is \"zero\", expected constant, reflect or replicate"]),
    ("pad_reflection", "fp16[4, 8] a", "fp16[4, {15|16}] y = pad(x = a, pad = int32[2]([{7|8}, 0]), mode = string(\"reflect\"), constant_val = fp16(0));", &["pad `y`: axis 1 of `x` [4, 8] reflects at most 7 elements"]),
    ("tile_length", "fp16[4, 8] a", "fp16[4, 16] y = tile(x = a, reps = int32[{2|3}]([1, 2{|, 1}]));", &["tile `y`: `reps` [1, 2, 1] must hold one positive number for each axis of `x` [4, 8]"]),
    ("tile_zero", "fp16[4, 8] a", "fp16[4, 8] y = tile(x = a, reps = int32[2]([1, {1|0}]));", &["tile `y`: `reps` [1, 0] must hold one positive number"]),
    ("gather_index_type", "fp16[4, 8] a, {int32|fp16}[3] n", "fp16[3, 8] y = gather(x = a, indices = n, axis = int32(0));", &["gather `y`: `indices` is fp16, expected one of int8, int16, int32"]),
    ("gather_index", "fp16[4, 8] a", "fp16[2, 8] y = gather(x = a, indices = int32[2]([0, {3|4}]), axis = int32(0));", &["gather `y`: `indices` holds 4, axis 0 of `x` [4, 8] has 4 elements"]),

    // Weights unpacked at compile time.
    ("affine_scale", "fp16[2, 3] a", "fp16[2, 3] w = constexpr_affine_dequantize()[axis = int32(0), quantized_data = int8[2, 3]([1, 2, 3, 4, 5, 6]), scale = fp16[{2|3}]([1, 1{|, 1}]), zero_point = int8(0)]; fp16[2, 3] y = add(x = a, y = w);", &["constexpr_affine_dequantize `w`: `scale` has shape [3], expected a scalar or [2]"]),
    ("affine_scale_rank", "fp16[2, 3] a", "fp16[2, 3] w = constexpr_affine_dequantize()[axis = int32(0), quantized_data = int8[2, 3]([1, 2, 3, 4, 5, 6]), scale = fp16[2{|, 1}]([1, 1]), zero_point = int8(0)]; fp16[2, 3] y = add(x = a, y = w);", &["constexpr_affine_dequantize `w`: `scale` has shape [2, 1], expected a scalar or [2]"]),
    ("affine_zero_point", "fp16[2] a", "fp16[2] w = constexpr_affine_dequantize()[axis = int32(0), quantized_data = int8[2]([1, 2]), scale = fp16(1), zero_point = {int8|uint8}(0)]; fp16[2] y = add(x = a, y = w);", &["constexpr_affine_dequantize `w`: `zero_point` is uint8, `quantized_data` int8"]),
    ("blockwise_scale", "fp16[4, 2] a", "fp16[4, 2] w = constexpr_blockwise_shift_scale(data = int8[4, 2]([1, 2, 3, 4, 5, 6, 7, 8]), scale = fp16[{2|3}, 1]([1, 1{|, 1}])); fp16[4, 2] y = add(x = a, y = w);", &["constexpr_blockwise_shift_scale `w`: `scale` [3, 1] does not cut `data` [4, 2] into blocks"]),
    ("palette_entries", "fp16[4] a", "fp16[4] w = constexpr_lut_to_dense(indices = uint1[4]([0, 1, 1, 0]), lut = fp16[1, {2|3}, 1]([1, 2{|, 3}])); fp16[4] y = add(x = a, y = w);", &["constexpr_lut_to_dense `w`: `lut` [1, 3, 1] does not serve uint1 `indices` [4]"]),
    ("sparse_values", "fp16[4] a", "fp16[4] w = constexpr_sparse_to_dense(nonzero_data = fp16[{2|3}]([1, 2{|, 3}]), mask = uint1[4]([0, 1, 1, 0])); fp16[4] y = add(x = a, y = w);", &["constexpr_sparse_to_dense `w`: `mask` has 2 ones for 3 values"]),
];

#[rustfmt::skip] // one line a fault
pub(super) const TEXTS: &[Text] = &[
    ("program_empty", "program(1.3)\n<<\n{    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> (y);|}\n>>\n", &["the program has no function"]),
    ("program_version", "program({1.3|2.0})\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> (y);\n>>\n", &["version `2.0`, expected 1.0 to 1.3"]),
    ("opset_unknown", "program(1.3)\n<<\n    func main<{ios18|ios3}>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> (y);\n>>\n", &["`ios3` is no opset; expected ios15 to ios18"]),
    ("opset_too_low", "program(1.3)\n<<\n    func main<{ios18|ios17}>(fp16[2, 4, 8] q) <<\n        fp16[2, 4, 8] y = scaled_dot_product_attention(query = q, key = q, value = q);\n    >> -> (y);\n>>\n", &["scaled_dot_product_attention `y`: opset ios17 has no such operation, ios18 has"]),
    ("opset_too_low_to_quantize", "program(1.3)\n<<\n    func main<{ios17|ios16}>(fp16[4] a) <<\n        int8[4] y = quantize(input = a, scale = fp16(0.5), output_dtype = string(\"int8\"));\n    >> -> (y);\n>>\n", &["quantize `y`: opset ios16 has no such operation, ios17 has"]),
    ("opset_too_low_for_indices", "program(1.3)\n<<\n    func main<{ios17|ios16}>(fp16[4, 8] a) <<\n        fp16[2, 8] y = gather(x = a, indices = int8[2]([0, 3]), axis = int32(0));\n    >> -> (y);\n>>\n", &["gather `y`: `indices` is int8; ios17 has that, not ios16"]),
    ("opset_too_low_for_a_cast", "program(1.3)\n<<\n    func main<{ios17|ios16}>(fp16[4] a) <<\n        int8[4] y = cast(x = a, dtype = string(\"int8\"));\n    >> -> (y);\n>>\n", &["cast `y`: `dtype` is \"int8\"; ios17 has that, not ios16"]),
    ("outputs_missing", "program(1.3)\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> ({y|});\n>>\n", &["function `main`: it returns nothing"]),
    ("output_undefined", "program(1.3)\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> ({y|z});\n>>\n", &["function `main`: output `z` is not defined"]),
    ("output_twice", "program(1.3)\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> (y{|, y});\n>>\n", &["function `main`: it returns `y` twice"]),
    ("output_is_input", "program(1.3)\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> ({y|a});\n>>\n", &["function `main`: output `a` is an input"]),
    ("output_is_constant", "program(1.3)\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] c = const()[val = fp16[4]([1, 2, 3, 4])]; fp16[4] y = add(x = a, y = c); >> -> ({y|c});\n>>\n", &["function `main`: output `c` is a constant"]),
    ("functions_of_one_name", "program(1.3)\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> (y);\n    func {other|main}<ios18>(fp16[4] a) << fp16[4] y = exp(x = a); >> -> (y);\n>>\n", &["function `main` is there already"]),
    ("text_behind", "program(1.3)\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> (y);\n>>\n{|more\n}", &["expected the end of the text after the program"]),
    ("text_cut", "program(1.3)\n<<\n    func main<ios18>(fp16[4] a) << fp16[4] y = relu(x = a); >> -> (y);\n{>>|}\n", &["found the end of the text"]),
];
