//! Softmax along an axis.
//!
//! Rounded are the operands and the result only: differences, exponentials and their sum stay in f32,
//! and the exponential is the formula, not a table. The documented error of attention as a whole on
//! M5 is 2.7e-4 (6.2), which is about what rounding to fp16 alone makes.

use aneal_kernels::exp_unfused;
use aneal_kernels::simd::{self, Arch, Level, Work};
use half::f16;

use super::super::layout::View;
use super::LANES;
use super::copy::{self, copy};
use super::nest::{Nest, dense_steps};
use super::unit::Unit;
use crate::Arithmetic;

/// Softmax of `x` along `axis`, row-major. Rows longer than `tile` elements are normalised `tile` by
/// `tile`, each as if it were the row: wrong, as some devices are (C13). `out` has as many elements as
/// `x`.
pub(crate) fn softmax(
    arithmetic: &Arithmetic,
    tile: Option<usize>,
    x: View<'_>,
    axis: usize,
    out: &mut [f16],
) {
    softmax_at(Level::best(), arithmetic, tile, x, axis, out);
}

fn softmax_at(
    level: Level,
    arithmetic: &Arithmetic,
    tile: Option<usize>,
    x: View<'_>,
    axis: usize,
    out: &mut [f16],
) {
    let (dims, steps) = (x.layout.dims(), x.layout.steps());
    let length = dims[axis];
    // The axis becomes the innermost, and its elements neighbours.
    let others = (0..dims.len()).filter(|&i| i != axis);
    let order: Vec<usize> = others.chain([axis]).collect();
    let moved_dims: Vec<usize> = order.iter().map(|&i| dims[i]).collect();
    let moved_steps = dense_steps(&moved_dims);
    let lead = order.len() - 1;
    let mut moved = Vec::new();
    let rows = if steps[axis] == 1 || length == 1 {
        let starts = order[..lead].iter().map(|&i| (dims[i], [steps[i]]));
        Rows { data: x.data, starts: Nest::of([x.layout.offset], starts), length }
    } else {
        moved.resize(out.len(), f16::ZERO);
        copy(View { data: x.data, layout: x.layout.permuted(&order) }, &mut moved);
        let starts = (0..lead).map(|i| (moved_dims[i], [moved_steps[i]]));
        Rows { data: &moved, starts: Nest::of([0], starts), length }
    };
    let unit = Unit::new(arithmetic);
    let tile = tile.unwrap_or(length).clamp(1, length);
    if dims[axis + 1..].iter().all(|&dim| dim == 1) {
        return rows.softmax(level, unit, tile, out);
    }
    let mut normal = vec![f16::ZERO; out.len()];
    rows.softmax(level, unit, tile, &mut normal);
    let mut back = vec![(1, [0]); order.len()];
    for (place, &axis) in order.iter().enumerate() {
        back[axis] = (dims[axis], [moved_steps[place]]);
    }
    Nest::of([0], back).divide(out, 1, &|nest, out| copy::piece(&nest, &normal, out));
}

/// Rows of neighbours.
struct Rows<'a> {
    data: &'a [f16],
    starts: Nest<1>,
    length: usize,
}

impl Rows<'_> {
    fn softmax(&self, level: Level, unit: Unit, tile: usize, out: &mut [f16]) {
        self.starts.divide(out, self.length, &|starts, out| {
            let rows = Rows { starts, ..*self };
            simd::run(level, Piece { rows, unit, tile, out });
        });
    }
}

struct Piece<'a> {
    rows: Rows<'a>,
    unit: Unit,
    tile: usize,
    out: &'a mut [f16],
}

impl Work for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch>(self) {
        let Self { rows, unit, tile, out } = self;
        let mut values = vec![[0.0; LANES]; tile.div_ceil(LANES)];
        for ([at], out) in rows.starts.each().zip(out.chunks_exact_mut(rows.length)) {
            let row = &rows.data[at..at + rows.length];
            for (x, out) in row.chunks(tile).zip(out.chunks_mut(tile)) {
                normalise(unit, x, &mut values[..x.len().div_ceil(LANES)], out);
            }
        }
    }
}

/// Softmax of one row; `values` has room for it.
#[inline(always)]
fn normalise(unit: Unit, x: &[f16], values: &mut [[f32; LANES]], out: &mut [f16]) {
    let mut tops = [f32::NEG_INFINITY; LANES];
    let (xs, rest) = x.as_chunks::<LANES>();
    for (x, lanes) in xs.iter().zip(&mut *values) {
        *lanes = unit.read(x);
        raise(&mut tops, lanes);
    }
    if let Some(lanes) = values.get_mut(xs.len()) {
        // Lanes past the end add nothing to the sum.
        *lanes = [f32::NEG_INFINITY; LANES];
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane = unit.read_one(x);
        }
        raise(&mut tops, lanes);
    }
    let top = tops.iter().fold(f32::NEG_INFINITY, |top, &x| if x > top { x } else { top });
    let mut sums = [0.0; LANES];
    for lanes in &mut *values {
        for i in 0..LANES {
            // Not fused, so that every level gives the same bits.
            lanes[i] = exp_unfused(lanes[i] - top);
            sums[i] += lanes[i];
        }
    }
    let sum: f32 = sums.iter().sum();
    let (outs, rest) = out.as_chunks_mut::<LANES>();
    for (out, lanes) in outs.iter_mut().zip(&*values) {
        *out = quotients(unit, lanes, sum);
    }
    if let Some(lanes) = values.get(outs.len()) {
        rest.copy_from_slice(&quotients(unit, lanes, sum)[..rest.len()]);
    }
}

/// The greater of two values in each lane. A NaN raises nothing.
#[inline(always)]
fn raise(tops: &mut [f32; LANES], values: &[f32; LANES]) {
    for i in 0..LANES {
        tops[i] = if values[i] > tops[i] { values[i] } else { tops[i] };
    }
}

#[inline(always)]
fn quotients(unit: Unit, values: &[f32; LANES], sum: f32) -> [f16; LANES] {
    let mut out = [0.0; LANES];
    for i in 0..LANES {
        out[i] = values[i] / sum;
    }
    unit.store(&out)
}

/// The oracle, in f64: softmax of one row, tile by tile.
#[cfg(test)]
fn reference(arithmetic: &Arithmetic, tile: Option<usize>, row: &[f16]) -> Vec<f16> {
    let normalised = |tile: &[f16]| {
        let x: Vec<f64> = tile.iter().map(|x| arithmetic.element(*x)).collect();
        let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = x.iter().map(|x| (x - top).exp()).sum();
        x.iter().map(|x| arithmetic.store((x - top).exp() / sum)).collect::<Vec<_>>()
    };
    row.chunks(tile.unwrap_or(row.len())).flat_map(normalised).collect()
}

#[cfg(test)]
mod tests {
    use aneal_mil::Shape;
    use proptest::prelude::*;

    use super::super::super::layout::Layout;
    use super::super::testing::{arithmetics, bits, gathered, in_threads, view};
    use super::*;

    fn computed(
        level: Level,
        arithmetic: &Arithmetic,
        tile: Option<usize>,
        x: View<'_>,
        axis: usize,
    ) -> Vec<u16> {
        let mut out = vec![f16::ZERO; x.layout.elements()];
        softmax_at(level, arithmetic, tile, x, axis, &mut out);
        out.into_iter().map(f16::to_bits).collect()
    }

    /// Places in the order of numbers: neighbours differ by 1.
    fn place(bits: u16) -> i32 {
        let size = i32::from(bits & 0x7FFF);
        if bits & 0x8000 == 0 { size } else { -size }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn stays_within_a_unit_of_the_reference_at_every_level(
            source in view(40), arithmetic in arithmetics(), axis in any::<prop::sample::Index>(),
            tile in prop_oneof![Just(None), (1usize..50).prop_map(Some)],
        ) {
            let x = source.view();
            let axis = axis.index(x.layout.rank());
            let found = computed(Level::Portable, &arithmetic, tile, x, axis);
            for &level in Level::supported() {
                prop_assert_eq!(&computed(level, &arithmetic, tile, x, axis), &found, "{:?}", level);
            }
            let found: Vec<f16> = found.into_iter().map(f16::from_bits).collect();
            let layout = Layout::dense(&Shape::new(x.layout.dims()).unwrap(), 0).unwrap();
            let found = gathered(View { data: &found, layout }, &[axis]);
            for (found, row) in found.iter().zip(gathered(x, &[axis])) {
                let want = reference(&arithmetic, tile, &row);
                for (found, want) in found.iter().zip(want) {
                    let near = (place(found.to_bits()) - place(want.to_bits())).abs() <= 1;
                    // A subnormal beside the least normal value may be flushed.
                    let flushed = arithmetic.store(2f64.powi(-15)) == f16::ZERO
                        && found.to_f32().max(want.to_f32()) < 6.2e-5;
                    prop_assert!(near || flushed, "{found:e} is not {want:e}");
                }
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let data = bits(5, 40 * 1000);
        let layout = Layout::dense(&Shape::new(&[40, 1000]).unwrap(), 0).unwrap();
        let arithmetic = &crate::Profile::named("m4").unwrap().arithmetic;
        for axis in [0, 1] {
            let run =
                || computed(Level::best(), arithmetic, None, View { data: &data, layout }, axis);
            assert_eq!(in_threads(1, run), in_threads(2, run));
        }
    }

    #[test]
    fn rows_longer_than_a_tile_are_wrong_as_documented() {
        let data = [f16::ONE; 10];
        let layout = Layout::dense(&Shape::new(&[10]).unwrap(), 0).unwrap();
        let mut out = [f16::ZERO; 10];
        let arithmetic = &crate::Profile::named("m3-ultra").unwrap().arithmetic;
        softmax(arithmetic, Some(4), View { data: &data, layout }, 0, &mut out);
        assert_eq!(
            out.map(f16::to_f32),
            [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5]
        );
    }
}
