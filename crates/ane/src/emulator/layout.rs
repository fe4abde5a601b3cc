//! Where the elements of a tensor lie in a buffer: so that slices, transposes and most reshapes are
//! new ways to look at a buffer and move nothing.

use aneal_mil::{MAX_RANK, Shape};
use half::f16;

/// Dimensions of a tensor, outermost first, and the distance in elements between neighbours along
/// each. A distance of 0 repeats (broadcasts) an element; a negative one runs backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Place of the first element.
    pub(crate) offset: usize,
    rank: usize,
    dims: [usize; MAX_RANK],
    steps: [isize; MAX_RANK],
}

impl Layout {
    /// Row-major from `offset` on. Shapes of more than [`MAX_RANK`] dimensions, which only constants
    /// have, give nothing.
    pub(crate) fn dense(shape: &Shape, offset: usize) -> Option<Self> {
        let rank = shape.rank();
        let mut out = Self { offset, rank, dims: [1; MAX_RANK], steps: [0; MAX_RANK] };
        let mut step = 1;
        for axis in (0..rank).rev() {
            *out.dims.get_mut(axis)? = shape.dim(axis);
            out.steps[axis] = step;
            step *= shape.dim(axis) as isize;
        }
        Some(out)
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// Outermost first.
    pub(crate) fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// Distance between neighbours along each axis.
    pub(crate) fn steps(&self) -> &[isize] {
        &self.steps[..self.rank]
    }

    pub(crate) fn elements(&self) -> usize {
        self.dims().iter().product()
    }

    /// Whether the elements lie row-major without gaps.
    pub(crate) fn is_dense(&self) -> bool {
        let mut want = 1;
        (0..self.rank).rev().all(|axis| {
            let fits = self.dims[axis] == 1 || self.steps[axis] == want;
            want *= self.dims[axis] as isize;
            fits
        })
    }

    /// The same dimensions row-major from the start of a buffer.
    pub(crate) fn made_dense(&self) -> Self {
        let mut out = Self { offset: 0, ..*self };
        let mut step = 1;
        for axis in (0..self.rank).rev() {
            out.steps[axis] = step;
            step *= self.dims[axis] as isize;
        }
        out
    }

    /// Axis `i` becomes the one that was `order[i]`.
    pub(crate) fn permuted(&self, order: &[usize]) -> Self {
        let mut out = *self;
        for (axis, &from) in order.iter().enumerate() {
            (out.dims[axis], out.steps[axis]) = (self.dims[from], self.steps[from]);
        }
        out
    }

    /// `count` elements of an axis from `begin` on, `stride` apart.
    pub(crate) fn sliced(&self, axis: usize, begin: usize, stride: isize, count: usize) -> Self {
        let mut out = *self;
        out.offset = out.offset.saturating_add_signed(begin as isize * self.steps[axis]);
        out.steps[axis] *= stride;
        out.dims[axis] = count;
        out
    }

    /// The same elements in the same order as another shape, if steps can say that.
    pub(crate) fn reshaped(&self, shape: &Shape) -> Option<Self> {
        let mut out = Self::dense(shape, self.offset)?;
        let (mut from, mut to) = (0, 0);
        // Axes are taken in groups of equal size from both shapes; within a group of the old one the
        // elements must lie evenly.
        while from < self.rank || to < out.rank {
            let (first, start) = (from, to);
            let (mut old, mut new) = (1, 1);
            while from < self.rank && (old < new || old == 1) {
                old *= self.dims[from];
                from += 1;
            }
            while to < out.rank && new < old {
                new *= out.dims[to];
                to += 1;
            }
            while old < new && from < self.rank {
                old *= self.dims[from];
                from += 1;
                while to < out.rank && new < old {
                    new *= out.dims[to];
                    to += 1;
                }
            }
            if old == 1 {
                // Only ones are left of the new shape.
                (to..out.rank).for_each(|axis| out.steps[axis] = 0);
                to = out.rank;
            }
            let mut step = self.even_step(first, from)?;
            for axis in (start..to).rev() {
                out.steps[axis] = step;
                step *= out.dims[axis] as isize;
            }
        }
        Some(out)
    }

    /// The distance between consecutive elements of axes `first..last` read row-major.
    fn even_step(&self, first: usize, last: usize) -> Option<isize> {
        let mut axes = (first..last).rev().filter(|&axis| self.dims[axis] > 1);
        let Some(inner) = axes.next() else { return Some(0) };
        let step = self.steps[inner];
        let mut next = step * self.dims[inner] as isize;
        for axis in axes {
            if self.steps[axis] != next {
                return None;
            }
            next *= self.dims[axis] as isize;
        }
        Some(step)
    }

    /// Repeated along axes of 1, and along new axes in front, up to `shape`, to which it broadcasts.
    pub(crate) fn broadcast(&self, shape: &Shape) -> Option<Self> {
        let mut out = Self::dense(shape, self.offset)?;
        let lead = out.rank.checked_sub(self.rank)?;
        for axis in 0..out.rank {
            out.steps[axis] = match axis.checked_sub(lead) {
                Some(own) if self.dims[own] > 1 => self.steps[own],
                _ => 0,
            };
        }
        Some(out)
    }

    /// The two innermost axes as rows and columns.
    pub(crate) fn matrix(&self) -> Option<MatrixLayout> {
        let row = self.rank.checked_sub(2)?;
        Some(MatrixLayout {
            offset: self.offset,
            rows: self.dims[row],
            cols: self.dims[row + 1],
            row_step: self.steps[row],
            col_step: self.steps[row + 1],
        })
    }

    /// Offsets of the innermost rows of `inner` axes, row-major over the others.
    pub(crate) fn outer_offsets(&self, inner: usize) -> impl Iterator<Item = usize> + use<> {
        let outer = self.rank.saturating_sub(inner);
        let (dims, steps, offset) = (self.dims, self.steps, self.offset);
        let count: usize = dims[..outer].iter().product();
        (0..count).map(move |mut flat| {
            let mut at = offset as isize;
            for axis in (0..outer).rev() {
                at += (flat % dims[axis]) as isize * steps[axis];
                flat /= dims[axis];
            }
            at as usize
        })
    }
}

/// A matrix in a buffer: element (r, c) at `offset + r * row_step + c * col_step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatrixLayout {
    pub(crate) offset: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_step: isize,
    pub(crate) col_step: isize,
}

impl MatrixLayout {
    /// Rows as columns.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_step: self.col_step,
            col_step: self.row_step,
            ..self
        }
    }
}

/// fp16 elements, as a layout sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [f16],
    pub(crate) layout: Layout,
}

impl View<'_> {
    /// The elements row-major, one by one: for tests and odd cases.
    pub(crate) fn iter(&self) -> impl Iterator<Item = f16> {
        self.layout.outer_offsets(0).map(|at| self.data[at])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(dims: &[usize]) -> Shape {
        Shape::new(dims).unwrap()
    }

    fn places(layout: &Layout) -> Vec<usize> {
        layout.outer_offsets(0).collect()
    }

    #[test]
    fn views_look_at_the_places_they_should() {
        let dense = Layout::dense(&shape(&[2, 3, 4]), 100).unwrap();
        assert_eq!(places(&dense), (100..124).collect::<Vec<_>>());
        assert_eq!(places(&dense.permuted(&[2, 0, 1]))[..6], [100, 104, 108, 112, 116, 120]);
        assert_eq!(
            places(&dense.sliced(1, 1, 1, 2).sliced(2, 3, -2, 2))[..4],
            [107, 105, 111, 109]
        );
        let row = Layout::dense(&shape(&[3, 1]), 0).unwrap().broadcast(&shape(&[2, 3, 2])).unwrap();
        assert_eq!(places(&row), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
        let matrix = dense.matrix().unwrap().transposed();
        assert_eq!((matrix.rows, matrix.cols, matrix.row_step, matrix.col_step), (4, 3, 1, 4));
    }

    #[test]
    fn reshapes_that_steps_cannot_say_are_refused() {
        let dense = Layout::dense(&shape(&[4, 6]), 0).unwrap();
        assert!(dense.permuted(&[1, 0]).reshaped(&shape(&[24])).is_none());
        assert!(dense.sliced(1, 0, 1, 3).reshaped(&shape(&[12])).is_none());
        assert!(dense.sliced(1, 0, 1, 4).reshaped(&shape(&[4, 2, 2])).is_some());
        assert!(dense.sliced(0, 1, 1, 2).reshaped(&shape(&[12])).is_some());
    }

    proptest! {
        /// A reshape is refused, or keeps elements and their order, whatever was done before.
        #[test]
        fn reshapes_keep_the_order(
            dims in prop::collection::vec(1usize..5, 1..5),
            swap in any::<prop::sample::Index>(),
            cut in any::<prop::sample::Index>(),
            split in any::<prop::sample::Index>(),
        ) {
            let mut layout = Layout::dense(&shape(&dims), 7).unwrap();
            let mut order: Vec<usize> = (0..dims.len()).collect();
            order.swap(0, swap.index(dims.len()));
            layout = layout.permuted(&order);
            let axis = cut.index(dims.len());
            if layout.dims()[axis] > 1 {
                layout = layout.sliced(axis, 1, 1, layout.dims()[axis] - 1);
            }
            let elements = layout.elements();
            let first = (1..=elements).filter(|n| elements.is_multiple_of(*n)).collect::<Vec<_>>();
            let first = first[split.index(first.len())];
            for target in [vec![elements], vec![first, elements / first], vec![1, first, 1, elements / first, 1]] {
                if let Some(reshaped) = layout.reshaped(&shape(&target)) {
                    prop_assert_eq!(reshaped.dims(), &target[..]);
                    prop_assert_eq!(places(&reshaped), places(&layout));
                } else {
                    prop_assert!(!layout.is_dense());
                }
            }
        }
    }
}
