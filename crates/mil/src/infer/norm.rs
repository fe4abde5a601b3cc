//! Results of normalisations: the type of `x`, with parameters of the right shapes.

use super::Call;
use crate::{Result, Type};

fn check(call: &Call<'_>, names: &[&str], want: &[usize]) -> Result<()> {
    for name in names {
        if let Some(known) = call.get(name)
            && known.ty.shape.dims() != want
        {
            let found = known.ty.shape;
            return Err(call.refuse(format!("`{name}` has shape {found}, expected {want:?}")));
        }
    }
    Ok(())
}

/// Over `axes`; gamma and beta have their dimensions.
pub(crate) fn layer(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let want: Vec<usize> =
        call.axes("axes", x)?.into_iter().map(|axis| x.shape.dim(axis)).collect();
    check(call, &["gamma", "beta"], &want)?;
    Ok(vec![x])
}

fn per_channel(call: &Call<'_>, names: &[&str]) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    if !(3..=5).contains(&x.shape.rank()) {
        return Err(call.refuse(format!("`x` {} must have rank 3 to 5: [N, C, ..]", x.shape)));
    }
    check(call, names, &[x.shape.dim(1)])?;
    Ok(vec![x])
}

/// By given mean and variance for each channel.
pub(crate) fn batch(call: &Call<'_>) -> Result<Vec<Type>> {
    per_channel(call, &["mean", "variance", "gamma", "beta"])
}

/// Over the axes after the channel.
pub(crate) fn instance(call: &Call<'_>) -> Result<Vec<Type>> {
    per_channel(call, &["gamma", "beta"])
}

/// Over the last three axes.
pub(crate) fn l2(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    if x.shape.rank() < 3 {
        return Err(call.refuse(format!("`x` {} must have rank 3 or more", x.shape)));
    }
    Ok(vec![x])
}
