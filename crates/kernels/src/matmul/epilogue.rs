//! What becomes of finished sums.
//!
//! An epilogue owns rows of its output, so that tasks split it as they split the left operand and no
//! two write the same place. Operations whose output is a function of a matrix multiply implement
//! [`Epilogue`] beside their other kernels (rotary embedding, the SwiGLU gate).

use std::ops::Range;

use super::MatMut;
use crate::Element;
use crate::lanes::{map, mul_add};
use crate::simd::{Level, row_kernel};

/// Finished sums of a product: all rows that an epilogue owns, some columns.
#[derive(Clone, Copy, Debug)]
pub struct Sums<'a> {
    /// `[rows, stride]`; the first `cols.len()` values of a row count.
    pub(crate) values: &'a [f32],
    /// Distance between rows.
    pub(crate) stride: usize,
    /// Number of rows.
    pub(crate) rows: usize,
}

impl<'a> Sums<'a> {
    /// Row `i`, `width` values.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize, width: usize) -> &'a [f32] {
        &self.values[i * self.stride..][..width]
    }
}

/// Takes the sums of a product, a block at a time.
pub trait Epilogue: Send + Sized {
    /// Rows and columns that the product must have.
    fn shape(&self) -> (usize, usize);

    /// The epilogue of the first `row` rows and that of the others.
    fn split_at(self, row: usize) -> (Self, Self);

    /// Takes the sums of columns `cols`. Column ranges come in ascending order.
    fn finish(&mut self, level: Level, cols: Range<usize>, sums: Sums<'_>);
}

/// `out = scale sums`, rounded.
#[derive(Debug)]
pub struct Store<'a, E> {
    /// `[M, N]`
    pub out: MatMut<'a, E>,
    /// Factor of every sum.
    pub scale: f32,
}

impl<E: Element> Epilogue for Store<'_, E> {
    fn shape(&self) -> (usize, usize) {
        (self.out.rows(), self.out.cols())
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (first, second) = self.out.split_at(row);
        (Self { out: first, ..self }, Self { out: second, ..self })
    }

    fn finish(&mut self, level: Level, cols: Range<usize>, sums: Sums<'_>) {
        store(level, &mut self.out, cols, sums, self.scale);
    }
}

/// `out += scale sums`.
#[derive(Debug)]
pub struct Add<'a> {
    /// `[M, N]`
    pub out: MatMut<'a>,
    /// Factor of every sum.
    pub scale: f32,
}

impl Epilogue for Add<'_> {
    fn shape(&self) -> (usize, usize) {
        (self.out.rows(), self.out.cols())
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (first, second) = self.out.split_at(row);
        (Self { out: first, ..self }, Self { out: second, ..self })
    }

    fn finish(&mut self, level: Level, cols: Range<usize>, sums: Sums<'_>) {
        add(level, &mut self.out, cols, sums, self.scale);
    }
}

/// `out = base + scale sums`: a residual branch that keeps what it is added to.
#[derive(Debug)]
pub struct AddTo<'a> {
    /// `[M, N]`
    pub out: MatMut<'a>,
    /// `[M, N]`
    pub base: &'a [f32],
    /// Factor of every sum.
    pub scale: f32,
}

impl Epilogue for AddTo<'_> {
    fn shape(&self) -> (usize, usize) {
        assert_eq!(self.base.len(), self.out.rows() * self.out.cols(), "base of a residual branch");
        (self.out.rows(), self.out.cols())
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (base, rest) = self.base.split_at(row * self.out.cols());
        let (first, second) = self.out.split_at(row);
        (Self { out: first, base, ..self }, Self { out: second, base: rest, ..self })
    }

    fn finish(&mut self, level: Level, cols: Range<usize>, sums: Sums<'_>) {
        add_to(level, &mut self.out, self.base, cols, sums, self.scale);
    }
}

row_kernel! {
    fn store<E: Element>(level: Level, out: &mut MatMut<'_, E>, cols: Range<usize>, sums: Sums<'_>, scale: f32) {
        for i in 0..sums.rows {
            map::<A, _, _>(&mut out.row_mut(i)[cols.clone()], sums.row(i, cols.len()), |sum| scale * sum);
        }
    }
}

row_kernel! {
    fn add(level: Level, out: &mut MatMut<'_>, cols: Range<usize>, sums: Sums<'_>, scale: f32) {
        for i in 0..sums.rows {
            for (out, sum) in out.row_mut(i)[cols.clone()].iter_mut().zip(sums.row(i, cols.len())) {
                *out = mul_add::<A>(scale, *sum, *out);
            }
        }
    }
}

row_kernel! {
    fn add_to(level: Level, out: &mut MatMut<'_>, base: &[f32], cols: Range<usize>, sums: Sums<'_>, scale: f32) {
        let width = out.cols();
        for i in 0..sums.rows {
            let base = &base[i * width..][cols.clone()];
            let out = &mut out.row_mut(i)[cols.clone()];
            for ((out, base), sum) in out.iter_mut().zip(base).zip(sums.row(i, cols.len())) {
                *out = mul_add::<A>(scale, *sum, *base);
            }
        }
    }
}
