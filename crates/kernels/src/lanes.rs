//! Loops over sixteen values at a time, for row kernels whose output is rounded.
//!
//! Inputs widen to f32 and outputs round from it sixteen at once, which a loop over single values
//! does not become by itself.

use crate::Element;
use crate::arch::Arch;

/// Values in a group.
pub(crate) const LANES: usize = 16;

/// `out[n] = f(x[n])`.
#[inline(always)]
pub(crate) fn map<A: Arch, E: Element, X: Element>(out: &mut [E], x: &[X], f: impl Fn(f32) -> f32) {
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    let (xs, x_rest) = x.as_chunks::<LANES>();
    for (out, x) in outs.iter_mut().zip(xs) {
        let mut lanes = [0.0; LANES];
        for i in 0..LANES {
            lanes[i] = f(x[i].to_f32());
        }
        *out = E::from_lanes::<A>(&lanes);
    }
    for (out, x) in out_rest.iter_mut().zip(x_rest) {
        *out = E::from_f32(f(x.to_f32()));
    }
}

/// `out[n] = f(x[n], y[n])`.
#[inline(always)]
pub(crate) fn map2<A: Arch, E: Element, X: Element, Y: Element>(
    out: &mut [E],
    x: &[X],
    y: &[Y],
    f: impl Fn(f32, f32) -> f32,
) {
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for ((out, x), y) in outs.iter_mut().zip(xs).zip(ys) {
        let mut lanes = [0.0; LANES];
        for i in 0..LANES {
            lanes[i] = f(x[i].to_f32(), y[i].to_f32());
        }
        *out = E::from_lanes::<A>(&lanes);
    }
    for ((out, x), y) in out_rest.iter_mut().zip(x_rest).zip(y_rest) {
        *out = E::from_f32(f(x.to_f32(), y.to_f32()));
    }
}

/// Three outputs, `[u[n], v[n], w[n]] = f([x[n], y[n]], z[n])`.
#[inline(always)]
pub(crate) fn map3<A: Arch, E: Element>(
    [u, v, w]: [&mut [E]; 3],
    [x, y]: [&[E]; 2],
    z: &[f32],
    f: impl Fn([f32; 2], f32) -> [f32; 3],
) {
    let (us, u_rest) = u.as_chunks_mut::<LANES>();
    let (vs, v_rest) = v.as_chunks_mut::<LANES>();
    let (ws, w_rest) = w.as_chunks_mut::<LANES>();
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let (zs, z_rest) = z.as_chunks::<LANES>();
    for (((u, v), w), ((x, y), z)) in us.iter_mut().zip(vs).zip(ws).zip(xs.iter().zip(ys).zip(zs)) {
        let [mut a, mut b, mut c] = [[0.0; LANES]; 3];
        for i in 0..LANES {
            [a[i], b[i], c[i]] = f([x[i].to_f32(), y[i].to_f32()], z[i]);
        }
        [*u, *v, *w] = [a, b, c].map(|lanes| E::from_lanes::<A>(&lanes));
    }
    let outs = u_rest.iter_mut().zip(v_rest).zip(w_rest);
    for (((u, v), w), ((x, y), &z)) in outs.zip(x_rest.iter().zip(y_rest).zip(z_rest)) {
        [*u, *v, *w] = f([x.to_f32(), y.to_f32()], z).map(E::from_f32);
    }
}

/// `a b + c`, in one rounding where that is one instruction.
#[inline(always)]
pub(crate) fn mul_add<A: Arch>(a: f32, b: f32, c: f32) -> f32 {
    if A::FMA { a.mul_add(b, c) } else { a * b + c }
}
