//! Results of convolutions and pools: windows that slide over the axes after the channel.

use super::Call;
use crate::{Result, Type};

/// How a window slides over one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Elements of the input.
    pub(crate) input: usize,
    /// Elements of the window.
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    /// Padding before the first element.
    pub(crate) before: usize,
    /// Padding after the last.
    pub(crate) after: usize,
    /// Places of the window.
    pub(crate) output: usize,
}

impl Window {
    /// Elements from the first to the last that a window touches.
    fn span(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Where element `k` of window `place` lies in the input, if not in the padding.
    pub(crate) fn at(&self, place: usize, k: usize) -> Option<usize> {
        let padded = place * self.stride + k * self.dilation;
        padded.checked_sub(self.before).filter(|&at| at < self.input)
    }
}

/// Settings of every axis after the channel, before padding is known.
fn windows(call: &Call<'_>, x: Type, kernel: &[usize]) -> Result<Vec<Window>> {
    let axes = x.shape.rank().saturating_sub(2);
    let setting = |name: &str| -> Result<Vec<usize>> {
        let Some(values) = call.integers(name)? else { return Ok(vec![1; axes]) };
        let positive = values.iter().all(|&v| (1..=i64::from(u16::MAX)).contains(&v));
        if values.len() != axes || !positive {
            return Err(call.refuse(format!(
                "`{name}` {values:?} must hold a positive number for each of the {axes} axes after \
                 the channel of `x` {}",
                x.shape
            )));
        }
        Ok(values.into_iter().map(|v| v as usize).collect())
    };
    let strides = setting("strides")?;
    let dilations = setting("dilations")?;
    Ok((0..axes)
        .map(|axis| Window {
            input: x.shape.dim(axis + 2),
            kernel: kernel[axis],
            stride: strides[axis],
            dilation: dilations[axis],
            before: 0,
            after: 0,
            output: 0,
        })
        .collect())
}

/// Padding before and after each axis as `pad` says.
fn custom(call: &Call<'_>, axes: usize) -> Result<Vec<(usize, usize)>> {
    let pad = call.integers("pad")?.unwrap_or_else(|| vec![0; 2 * axes]);
    if pad.len() != 2 * axes || pad.iter().any(|&n| !(0..=i64::from(u16::MAX)).contains(&n)) {
        return Err(call.refuse(format!(
            "`pad` {pad:?} must hold two non-negative numbers for each of {axes} axes"
        )));
    }
    Ok(pad.chunks_exact(2).map(|pair| (pair[0] as usize, pair[1] as usize)).collect())
}

/// Fills in paddings and places, as `pad_type` says.
fn place(call: &Call<'_>, windows: &mut [Window]) -> Result<()> {
    let pad_type = call.string("pad_type")?.unwrap_or("valid");
    let ceil = call.flag("ceil_mode")?.unwrap_or(false);
    let amounts = custom(call, windows.len())?;
    for (window, (before, after)) in windows.iter_mut().zip(amounts) {
        let (input, stride, span) = (window.input, window.stride, window.span());
        let total = ((input.div_ceil(stride) - 1) * stride + span).saturating_sub(input);
        (window.before, window.after) = match pad_type {
            "valid" => (0, 0),
            "same" => (total / 2, total - total / 2),
            "same_lower" => (total - total / 2, total / 2),
            "custom" => (before, after),
            _ => {
                return Err(call.refuse(format!(
                    "`pad_type` is \"{pad_type}\", expected valid, same, same_lower or custom"
                )));
            }
        };
        if ceil && (pad_type.starts_with("same") || window.before != window.after) {
            return Err(call.refuse("`ceil_mode` needs equal paddings on both sides"));
        }
        let padded = input + window.before + window.after;
        let Some(room) = padded.checked_sub(span) else {
            return Err(call.refuse(format!(
                "the window of {span} does not fit into {padded} padded elements of an axis"
            )));
        };
        window.output = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
        if ceil && (window.output - 1) * stride >= input + window.before && window.before > 0 {
            window.output -= 1;
        }
    }
    Ok(())
}

fn ranked(call: &Call<'_>) -> Result<Type> {
    let x = call.ty("x")?;
    if !(3..=5).contains(&x.shape.rank()) {
        return Err(call.refuse(format!("`x` {} must have rank 3 to 5: [N, C, ..]", x.shape)));
    }
    Ok(x)
}

/// What a convolution does.
pub(crate) struct Conv {
    pub(crate) windows: Vec<Window>,
    pub(crate) groups: usize,
}

/// `[N, I, ..]` with a weight `[O, I / groups, ..]` gives `[N, O, ..]`.
pub(crate) fn conv(call: &Call<'_>) -> Result<Vec<Type>> {
    let (x, weight) = (ranked(call)?, call.ty("weight")?);
    let geometry = conv_geometry(call)?;
    let outputs = weight.shape.dim(0);
    check_bias(call, outputs)?;
    let mut dims = vec![x.shape.dim(0), outputs];
    dims.extend(geometry.windows.iter().map(|window| window.output));
    Ok(vec![call.result(x.dtype, &dims)?])
}

fn check_bias(call: &Call<'_>, outputs: usize) -> Result<()> {
    if let Some(bias) = call.get("bias")
        && bias.ty.shape.dims() != [outputs]
    {
        return Err(call.refuse(format!("`bias` has {}, expected [{outputs}]", bias.ty.shape)));
    }
    Ok(())
}

fn groups(call: &Call<'_>) -> Result<usize> {
    let groups = call.integer("groups")?.unwrap_or(1);
    usize::try_from(groups)
        .ok()
        .filter(|&groups| groups > 0)
        .ok_or_else(|| call.refuse(format!("`groups` is {groups}, expected 1 or more")))
}

/// Windows and groups of a `conv`, weight checked.
pub(crate) fn conv_geometry(call: &Call<'_>) -> Result<Conv> {
    let (x, weight) = (ranked(call)?, call.ty("weight")?);
    let groups = groups(call)?;
    let (inputs, outputs) = (x.shape.dim(1), weight.shape.dim(0));
    let fits = weight.shape.rank() == x.shape.rank()
        && inputs.is_multiple_of(groups)
        && outputs.is_multiple_of(groups)
        && weight.shape.dim(1) == inputs / groups;
    if !fits {
        return Err(call.refuse(format!(
            "`weight` {} does not go with `x` {} in {groups} groups; expected [O, I / groups, ..]",
            weight.shape, x.shape
        )));
    }
    let kernel: Vec<usize> = weight.shape.iter().skip(2).collect();
    let mut windows = windows(call, x, &kernel)?;
    place(call, &mut windows)?;
    Ok(Conv { windows, groups })
}

/// `[N, I, ..]` with a weight `[I, O / groups, ..]` gives `[N, O, ..]`.
pub(crate) fn conv_transpose(call: &Call<'_>) -> Result<Vec<Type>> {
    let (x, weight) = (ranked(call)?, call.ty("weight")?);
    let geometry = transpose_geometry(call)?;
    // Cannot overflow: two dimensions of at most 2^31.
    let outputs = weight.shape.dim(1) * geometry.groups;
    check_bias(call, outputs)?;
    let mut dims = vec![x.shape.dim(0), outputs];
    dims.extend(geometry.windows.iter().map(|window| window.output));
    let result = call.result(x.dtype, &dims)?;
    if let Some(shape) = call.integers("output_shape")?
        && !shape.iter().copied().eq(dims.iter().map(|&dim| dim as i64))
    {
        return Err(call.refuse(format!("`output_shape` is {shape:?}, the result {dims:?}")));
    }
    Ok(vec![result])
}

/// Windows and groups of a `conv_transpose`, in which the roles of `input` and `output` are
/// swapped: a window of the output belongs to each element of the input.
pub(crate) fn transpose_geometry(call: &Call<'_>) -> Result<Conv> {
    let (x, weight) = (ranked(call)?, call.ty("weight")?);
    let groups = groups(call)?;
    if weight.shape.rank() != x.shape.rank()
        || weight.shape.dim(0) != x.shape.dim(1)
        || !x.shape.dim(1).is_multiple_of(groups)
    {
        return Err(call.refuse(format!(
            "`weight` {} does not go with `x` {} in {groups} groups; expected [I, O / groups, ..]",
            weight.shape, x.shape
        )));
    }
    let kernel: Vec<usize> = weight.shape.iter().skip(2).collect();
    let mut windows = windows(call, x, &kernel)?;
    let pad_type = call.string("pad_type")?.unwrap_or("valid");
    let amounts = custom(call, windows.len())?;
    for (window, (before, after)) in windows.iter_mut().zip(amounts) {
        let full = (window.input - 1) * window.stride + window.span();
        (window.before, window.after) = match pad_type {
            "valid" => (0, 0),
            "custom" => (before, after),
            "same" if full >= window.input * window.stride => {
                let total = full - window.input * window.stride;
                (total / 2, total - total / 2)
            }
            _ => {
                return Err(call.refuse(format!(
                    "`pad_type` is \"{pad_type}\", expected valid or custom, or same with a window \
                     no shorter than the stride"
                )));
            }
        };
        let kept = full.checked_sub(window.before + window.after).filter(|&kept| kept > 0);
        window.output = kept.ok_or_else(|| {
            call.refuse(format!("`pad` takes away all {full} elements of an axis"))
        })?;
    }
    Ok(Conv { windows, groups })
}

/// `[N, C, ..]` gives `[N, C, ..]`.
pub(crate) fn pool(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = ranked(call)?;
    let mut dims = vec![x.shape.dim(0), x.shape.dim(1)];
    dims.extend(pool_windows(call)?.iter().map(|window| window.output));
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// The windows of a pool.
pub(crate) fn pool_windows(call: &Call<'_>) -> Result<Vec<Window>> {
    let x = ranked(call)?;
    let kernel = call.required_integers("kernel_sizes")?;
    let axes = x.shape.rank() - 2;
    let sizes: Option<Vec<usize>> = kernel
        .iter()
        .map(|&k| usize::try_from(k).ok().filter(|k| (1..=usize::from(u16::MAX)).contains(k)))
        .collect();
    let Some(sizes) = sizes.filter(|sizes| sizes.len() == axes) else {
        return Err(call.refuse(format!(
            "`kernel_sizes` {kernel:?} must hold a positive number for each of {axes} axes"
        )));
    };
    let mut windows = windows(call, x, &sizes)?;
    place(call, &mut windows)?;
    Ok(windows)
}
