//! Rows of a product from packed operands, tile by tile.
//!
//! A tile runs through one loop whose rule holds while sums stay below the limit. Where the norms of
//! its operands do not say that they do, it goes block by block and looks before each at every sum
//! and at the norms of what comes; sums that may reach the limit are computed once more, one
//! term after another, by [`Accumulator`].

use half::f16;

use super::panels::{Packed, Panel};
use super::plan::{Choice, Plan};
use super::round::{self, Sums};
use super::rule::STEPS;
use super::tile::{self, MAX_COLS, MAX_SUMS};
use super::{Bias, Operand};
use crate::arithmetic::Accumulator;

/// Most rows of a tile.
const MAX_ROWS: usize = MAX_SUMS / MAX_COLS;

/// A product in the making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) left: &'a Packed,
    pub(super) right: &'a Packed,
    pub(super) source: Operand<'a>,
    pub(super) bias: Bias<'a>,
    /// The bias as numbers, see [`Plan::held`].
    pub(super) held: &'a [f32],
    /// N.
    pub(super) cols: usize,
}

/// Where a tile lies.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    col: usize,
    rows: usize,
    cols: usize,
}

/// One bit for every sum of a tile.
type Marks = [u32; MAX_ROWS];

impl Rows<'_> {
    /// Computes `out[rows, N]`, the rows from `first` on, which is a multiple of a tile's rows.
    pub(super) fn compute(&self, first: usize, out: &mut [f16]) {
        let size = self.plan.size;
        for right in 0..self.right.panels() {
            let panel = self.right.panel(right);
            let col = right * size.cols;
            for (part, out) in out.chunks_mut(size.rows * self.cols).enumerate() {
                let row = first + part * size.rows;
                let rows = out.len() / self.cols;
                let place = Place { row, col, rows, cols: size.cols.min(self.cols - col) };
                self.tile(place, self.left.panel(row / size.rows), panel, out);
            }
        }
    }

    fn tile(&self, place: Place, left: Panel<'_>, right: Panel<'_>, out: &mut [f16]) {
        let (plan, size) = (self.plan, self.plan.size);
        let inner = self.left.inner();
        let products = left.extent.longest * right.extent.longest;
        let fits = plan.bound(self.most_bias(place), products, inner) < plan.limit;
        let mut marks = [u32::MAX; MAX_ROWS];
        if let Some(choice) = plan.choose(&left.extent, &right.extent, inner, fits) {
            let mut sums = [0; MAX_SUMS];
            let sums = &mut sums[..size.rows * size.cols];
            self.start(place, choice.sums, sums);
            if fits {
                tile::add(plan.level, choice.kernel, [left.lines, right.lines], sums);
                marks = [0; MAX_ROWS];
            } else {
                marks = self.watched(choice, left, right, sums);
            }
            let mut stored = [f16::ZERO; MAX_SUMS];
            let stored = &mut stored[..sums.len()];
            round::store(plan.level, choice.sums, plan.arithmetic.tie, sums, stored);
            for (out, stored) in out.chunks_mut(self.cols).zip(stored.chunks(size.cols)) {
                out[place.col..][..place.cols].copy_from_slice(&stored[..place.cols]);
            }
        }
        for (i, out) in out.chunks_mut(self.cols).enumerate().filter(|(i, _)| marks[*i] != 0) {
            for j in (0..place.cols).filter(|j| marks[i] >> j & 1 == 1) {
                out[place.col + j] = self.one(place.row + i, place.col + j, right, j);
            }
        }
    }

    /// Adds the products block by block. Marks the sums that may have reached the limit: theirs
    /// are of no use.
    fn watched(
        &self,
        choice: Choice,
        left: Panel<'_>,
        right: Panel<'_>,
        sums: &mut [u32],
    ) -> Marks {
        let (plan, size) = (self.plan, self.plan.size);
        let mut marks = [0; MAX_ROWS];
        let lines = left.lines.blocks(size.rows).zip(right.lines.blocks(size.cols));
        let norms = left.norms.chunks(size.rows).zip(right.norms.chunks(size.cols));
        for ((left, right), (rows, cols)) in lines.zip(norms) {
            let terms = left.peaks.len();
            for ((sums, row), marks) in sums.chunks(size.cols).zip(rows).zip(&mut marks) {
                for (j, (sum, col)) in sums.iter().zip(cols).enumerate() {
                    let start = match choice.sums {
                        Sums::F32 { scale } => f32::from_bits(*sum).abs() / scale,
                        Sums::Steps => (*sum as i32 as f32).abs() / STEPS,
                    };
                    let fits = plan.bound(start, row * col, terms) < plan.limit;
                    *marks |= u32::from(!fits) << j;
                }
            }
            tile::add(plan.level, choice.kernel, [left, right], sums);
        }
        marks
    }

    /// One element by the definition. `right` is the panel that has its column as lane `lane`.
    fn one(&self, row: usize, col: usize, right: Panel<'_>, lane: usize) -> f16 {
        let arithmetic = self.plan.arithmetic;
        let bias = match self.bias {
            Bias::None => f16::ZERO,
            Bias::PerRow(bias) => bias[row],
            Bias::PerColumn(bias) => bias[col],
        };
        let mut sum = Accumulator::new(arithmetic, bias);
        let column = right.lines.values[lane..].iter().step_by(self.plan.size.cols);
        for (k, w) in column.take(self.source.layout.cols).enumerate() {
            sum.add_product(arithmetic.operand(self.source.at(row, k)), *w);
        }
        sum.finish()
    }

    /// The bias of a tile's rows or columns.
    fn held(&self, place: Place) -> &[f32] {
        match self.bias {
            Bias::None => &[],
            Bias::PerRow(_) => &self.held[place.row..][..place.rows],
            Bias::PerColumn(_) => &self.held[place.col..][..place.cols],
        }
    }

    /// The largest size of a tile's bias; infinite if one is no number.
    fn most_bias(&self, place: Place) -> f32 {
        let size = |bias: &f32| if bias.is_nan() { f32::INFINITY } else { bias.abs() };
        self.held(place).iter().map(size).fold(0.0, f32::max)
    }

    /// Sets a tile's sums to the bias.
    fn start(&self, place: Place, kind: Sums, sums: &mut [u32]) {
        let bits = |bias: &f32| match kind {
            Sums::F32 { scale } => (bias * scale).to_bits(),
            Sums::Steps => (bias * STEPS) as i32 as u32,
        };
        let (held, width) = (self.held(place), self.plan.size.cols);
        for (i, sums) in sums.chunks_mut(width).enumerate().take(place.rows) {
            match self.bias {
                Bias::None => {}
                Bias::PerRow(_) => sums.fill(bits(&held[i])),
                Bias::PerColumn(_) => {
                    sums.iter_mut().zip(held).for_each(|(sum, bias)| *sum = bits(bias));
                }
            }
        }
    }
}
