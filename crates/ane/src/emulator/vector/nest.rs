//! The axes that an operation runs over, with the operands' steps along each.
//!
//! Axes of one element vanish, and neighbours that lie evenly for every operand become one, so that
//! most operations are a few long rows, however many dimensions their tensors have.

use aneal_mil::MAX_RANK;
use half::f16;

use super::super::layout::Layout;

/// Places that one thread works on at least.
const PIECE: usize = 1 << 15;
/// The outermost axis is cut at a multiple of this, so that blocks of elements stay whole.
const CUT: usize = 64;

/// Nested loops over the same dimensions for `N` operands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nest<const N: usize> {
    rank: usize,
    dims: [usize; MAX_RANK],
    steps: [[isize; N]; MAX_RANK],
    /// Where the operands' first elements are.
    offsets: [usize; N],
}

impl<const N: usize> Nest<N> {
    /// Over layouts of equal dimensions, already broadcast.
    pub(super) fn new(layouts: [&Layout; N]) -> Self {
        let dims = layouts.first().map_or(&[][..], |layout| layout.dims());
        let axes = dims.iter().enumerate();
        let axes = axes.map(|(axis, &dim)| (dim, layouts.map(|layout| layout.steps()[axis])));
        Self::of(layouts.map(|layout| layout.offset), axes)
    }

    /// Of axes, outermost first: lengths, and the operands' steps along each. At most [`MAX_RANK`].
    pub(super) fn of(
        offsets: [usize; N],
        axes: impl IntoIterator<Item = (usize, [isize; N])>,
    ) -> Self {
        let mut out = Self { rank: 0, dims: [1; MAX_RANK], steps: [[0; N]; MAX_RANK], offsets };
        for (dim, steps) in axes.into_iter().filter(|(dim, _)| *dim != 1) {
            let evenly =
                |last: usize| (0..N).all(|n| out.steps[last][n] == steps[n] * dim as isize);
            match out.rank.checked_sub(1).filter(|&last| evenly(last)) {
                Some(last) => {
                    out.dims[last] *= dim;
                    out.steps[last] = steps;
                }
                None => {
                    (out.dims[out.rank], out.steps[out.rank]) = (dim, steps);
                    out.rank += 1;
                }
            }
        }
        out
    }

    /// One row of `places`, dense for every operand from 0 on.
    pub(super) fn flat(places: usize) -> Self {
        Self::of([0; N], [(places, [1; N])])
    }

    /// Outermost first, none of them 1.
    pub(super) fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// Elements between neighbours along an axis, for every operand.
    pub(super) fn steps(&self, axis: usize) -> [isize; N] {
        self.steps[axis]
    }

    /// Places.
    pub(super) fn places(&self) -> usize {
        self.dims().iter().product()
    }

    /// Length of the innermost axis; 1 if there is no axis.
    pub(super) fn row(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// Steps along the innermost axis; 1 if there is no axis.
    pub(super) fn row_steps(&self) -> [isize; N] {
        self.rank.checked_sub(1).map_or([1; N], |last| self.steps[last])
    }

    /// Where the operands' rows start, row-major.
    pub(super) fn rows(&self) -> impl Iterator<Item = [usize; N]> + use<N> {
        self.without_axis(self.rank.wrapping_sub(1)).each()
    }

    /// Where the operands' elements are, row-major.
    pub(super) fn each(&self) -> impl Iterator<Item = [usize; N]> + use<N> {
        self.each_from(0)
    }

    /// The same from a place on.
    pub(super) fn each_from(&self, first: usize) -> impl Iterator<Item = [usize; N]> + use<N> {
        let it = *self;
        let (mut at, mut index) = (self.offsets, [0; MAX_RANK]);
        let mut rest = first;
        for axis in (0..self.rank).rev() {
            index[axis] = rest % self.dims[axis];
            rest /= self.dims[axis];
            for (at, step) in at.iter_mut().zip(self.steps[axis]) {
                *at = at.wrapping_add_signed(step * index[axis] as isize);
            }
        }
        (first..self.places()).map(move |_| {
            let here = at;
            for axis in (0..it.rank).rev() {
                index[axis] += 1;
                let wraps = index[axis] == it.dims[axis];
                let count = if wraps { 1 - it.dims[axis] as isize } else { 1 };
                for (at, step) in at.iter_mut().zip(it.steps[axis]) {
                    *at = at.wrapping_add_signed(step * count);
                }
                if !wraps {
                    break;
                }
                index[axis] = 0;
            }
            here
        })
    }

    /// The same from other first elements on.
    pub(super) fn starting_at(mut self, offsets: [usize; N]) -> Self {
        self.offsets = offsets;
        self
    }

    /// The same at the first place of an axis. An axis that is not there changes nothing.
    pub(super) fn without_axis(&self, axis: usize) -> Self {
        let mut out = *self;
        if axis < self.rank {
            out.dims.copy_within(axis + 1..self.rank, axis);
            out.steps.copy_within(axis + 1..self.rank, axis);
            out.rank -= 1;
        }
        out
    }

    /// One of the operands alone.
    pub(super) fn only(&self, operand: usize) -> Nest<1> {
        let mut out = Nest {
            rank: self.rank,
            dims: self.dims,
            steps: [[0]; MAX_RANK],
            offsets: [self.offsets[operand]],
        };
        for (to, from) in out.steps.iter_mut().zip(&self.steps) {
            *to = [from[operand]];
        }
        out
    }

    /// The same with one operand dense from 0 on.
    pub(super) fn with_dense(mut self, operand: usize) -> Self {
        let mut step = 1;
        for axis in (0..self.rank).rev() {
            self.steps[axis][operand] = step;
            step *= self.dims[axis] as isize;
        }
        self.offsets[operand] = 0;
        self
    }

    /// Cuts the nest and `out` with it, which holds equally many elements for every place, into pieces
    /// for `leaf`, on all threads. `work` is what a place costs, in elements.
    pub(super) fn divide(
        self,
        out: &mut [f16],
        work: usize,
        leaf: &(impl Fn(Self, &mut [f16]) + Sync),
    ) {
        let places = self.places();
        if self.rank == 0 || places.saturating_mul(work) <= PIECE {
            return leaf(self, out);
        }
        let dim = self.dims[0];
        let half = dim.div_ceil(2);
        let cut = if half > CUT { half.next_multiple_of(CUT) } else { half };
        let (mut a, mut b) = (self, self);
        (a.dims[0], b.dims[0]) = (cut, dim - cut);
        for (at, step) in b.offsets.iter_mut().zip(self.steps[0]) {
            *at = at.wrapping_add_signed(step * cut as isize);
        }
        let (left, right) = out.split_at_mut(out.len() / places * (places / dim * cut));
        rayon::join(
            || a.without_single().divide(left, work, leaf),
            || b.without_single().divide(right, work, leaf),
        );
    }

    /// Without the outermost axis, if that has become 1.
    fn without_single(self) -> Self {
        if self.dims[0] == 1 { self.without_axis(0) } else { self }
    }
}

/// Steps of a row-major tensor.
pub(super) fn dense_steps(dims: &[usize]) -> Vec<isize> {
    let step = |axis: usize| dims[axis + 1..].iter().product::<usize>() as isize;
    (0..dims.len()).map(step).collect()
}
