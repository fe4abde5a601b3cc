//! A matrix in the order in which the micro-kernel reads it.
//!
//! Panels of [`Kernel::cols`](super::Kernel) columns, one after another; within a panel the units of
//! a column range lie row by row: `[panel][unit][column][value of the unit]`. Rows beyond the last
//! whole unit and columns beyond the last whole panel are zero. As right operand the panels are the
//! columns of the product; transposed, as left operand, they are its rows.

use super::{Kernel, Mat};
use crate::Element;
use crate::aligned::Aligned;
use crate::simd::{Level, row_kernel};

use rayon::prelude::*;

/// Units packed at once, so that what is read stays in the first cache.
const UNITS: usize = 32;

/// A `[K, N]` matrix in panels.
#[derive(Clone, Debug)]
pub struct Panels<E: Element> {
    kernel: Kernel<E>,
    data: Aligned,
    rows: usize,
    cols: usize,
}

impl<E: Element> Panels<E> {
    /// An empty matrix for `kernel`.
    pub fn new(kernel: Kernel<E>) -> Self {
        Self { kernel, data: Aligned::default(), rows: 0, cols: 0 }
    }

    /// Takes over `source[K, N]`, on all threads. Reuses memory.
    pub fn pack<S: Element>(&mut self, source: Mat<'_, S>) {
        let (panel_len, level) = (self.fit(source), self.kernel.level());
        let width = self.kernel.cols();
        let panels = source.cols().div_ceil(width);
        self.data
            .first::<E>(panels * panel_len)
            .par_chunks_mut(panel_len.max(1))
            .enumerate()
            .for_each(|(panel, out)| pack_panel(level, out, source, panel * width, width));
    }

    /// As [`pack`](Self::pack), on the calling thread alone.
    pub fn pack_serial<S: Element>(&mut self, source: Mat<'_, S>) {
        let (panel_len, level) = (self.fit(source), self.kernel.level());
        let width = self.kernel.cols();
        let panels = source.cols().div_ceil(width);
        let all = self.data.first::<E>(panels * panel_len);
        for (panel, out) in all.chunks_mut(panel_len.max(1)).enumerate() {
            pack_panel(level, out, source, panel * width, width);
        }
    }

    /// Takes over the shape; the values in a panel.
    fn fit<S: Element>(&mut self, source: Mat<'_, S>) -> usize {
        (self.rows, self.cols) = (source.rows(), source.cols());
        self.rows.div_ceil(E::PER_UNIT) * E::PER_UNIT * self.kernel.cols()
    }

    /// The whole matrix as an operand.
    pub fn view(&self) -> PanelsView<'_, E> {
        let units = self.rows.div_ceil(E::PER_UNIT);
        PanelsView {
            kernel: self.kernel,
            data: self.data.values(),
            panel_len: units * E::PER_UNIT * self.kernel.cols(),
            units,
            cols: self.cols,
        }
    }
}

/// A borrowed matrix in panels, or its upper left part.
#[derive(Clone, Copy, Debug)]
pub struct PanelsView<'a, E: Element> {
    pub(super) kernel: Kernel<E>,
    data: &'a [E],
    panel_len: usize,
    pub(super) units: usize,
    pub(super) cols: usize,
}

impl<'a, E: Element> PanelsView<'a, E> {
    /// The part up to `rows` rows, rounded up to whole units, and `cols` columns.
    pub fn upper_left(self, rows: usize, cols: usize) -> Self {
        let units = rows.div_ceil(E::PER_UNIT);
        assert!(units <= self.units && cols <= self.cols, "a part larger than the panels");
        Self { units, cols, ..self }
    }

    /// Number of columns, N.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of panels.
    pub(super) fn panels(&self) -> usize {
        self.cols.div_ceil(self.kernel.cols())
    }

    /// The units of a panel, `[units, Kernel::cols, PER_UNIT]`.
    pub(super) fn panel(&self, panel: usize) -> &'a [E] {
        let len = self.units * E::PER_UNIT * self.kernel.cols();
        &self.data[panel * self.panel_len..][..len]
    }
}

/// Fills one panel from the `width` columns of `source` that start at `first`.
fn pack_panel<E: Element, S: Element>(
    level: Level,
    out: &mut [E],
    source: Mat<'_, S>,
    first: usize,
    width: usize,
) {
    let cols = first..(first + width).min(source.cols());
    let part = source.cols_of(cols);
    for (block, out) in out.chunks_mut(UNITS * E::PER_UNIT * width).enumerate() {
        let start = block * UNITS * E::PER_UNIT;
        let end = (start + UNITS * E::PER_UNIT).min(part.rows());
        let part = part.rows_of(start..end);
        if part.col_stride() == 1 {
            pack_rows(level, out, part, width);
        } else if part.row_stride() == 1 {
            pack_columns(level, out, part, width);
        } else {
            pack_any(out, part, width);
        }
    }
}

/// Any strides, value by value: the oracle of the other two.
fn pack_any<E: Element, S: Element>(out: &mut [E], part: Mat<'_, S>, width: usize) {
    for (at, out) in out.iter_mut().enumerate() {
        let (unit, column, value) =
            (at / E::PER_UNIT / width, at / E::PER_UNIT % width, at % E::PER_UNIT);
        let row = unit * E::PER_UNIT + value;
        let inside = row < part.rows() && column < part.cols();
        *out = if inside { part.at(row, column).cast() } else { E::zeroed() };
    }
}

row_kernel! {
    /// Rows of `part` are contiguous: the rows of a unit interleave.
    fn pack_rows<E: Element, S: Element>(level: Level, out: &mut [E], part: Mat<'_, S>, width: usize) {
        let (rows, cols) = (part.rows(), part.cols());
        for (unit, out) in out.chunks_exact_mut(width * E::PER_UNIT).enumerate() {
            let row = unit * E::PER_UNIT;
            let (out, beyond) = out.split_at_mut(cols * E::PER_UNIT);
            beyond.fill(E::zeroed());
            if E::PER_UNIT == 1 {
                for (out, x) in out.iter_mut().zip(part.row(row)) {
                    *out = x.cast();
                }
            } else if row + 1 < rows {
                let (pairs, _) = out.as_chunks_mut::<2>();
                for ((pair, a), b) in pairs.iter_mut().zip(part.row(row)).zip(part.row(row + 1)) {
                    *pair = [a.cast(), b.cast()];
                }
            } else {
                let (pairs, _) = out.as_chunks_mut::<2>();
                for (pair, a) in pairs.iter_mut().zip(part.row(row)) {
                    *pair = [a.cast(), E::zeroed()];
                }
            }
        }
    }
}

row_kernel! {
    /// Columns of `part` are contiguous: a unit is two neighbours.
    fn pack_columns<E: Element, S: Element>(level: Level, out: &mut [E], part: Mat<'_, S>, width: usize) {
        let columns = part.t();
        let units = out.len() / (width * E::PER_UNIT);
        for j in 0..width {
            let mut values = [E::zeroed(); 2 * UNITS];
            if j < columns.rows() {
                for (value, x) in values.iter_mut().zip(columns.row(j)) {
                    *value = x.cast();
                }
            }
            for (unit, values) in values.chunks_exact(E::PER_UNIT).take(units).enumerate() {
                let at = (unit * width + j) * E::PER_UNIT;
                out[at..at + E::PER_UNIT].copy_from_slice(values);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::uniform;

    /// Packs by rows and by columns; both must equal the oracle at every level.
    fn check<E: Element>(rows: usize, cols: usize) {
        let values = uniform(1, rows * cols);
        for &level in Level::supported() {
            let kernel = E::kernel(level);
            let mut panels = Panels::new(kernel);
            for source in [Mat::new(&values, rows, cols), Mat::new(&values, cols, rows).t()] {
                panels.pack(source);
                let mut serial = Panels::new(kernel);
                serial.pack_serial(source);
                let (view, again) = (panels.view(), serial.view());
                assert_eq!(view.panels(), cols.div_ceil(kernel.cols()));
                for panel in 0..view.panels() {
                    let first = panel * kernel.cols();
                    let part = source.cols_of(first..(first + kernel.cols()).min(cols));
                    let mut want = vec![E::zeroed(); view.panel(panel).len()];
                    pack_any(&mut want, part, kernel.cols());
                    assert_eq!(view.panel(panel), want, "{} of {rows} x {cols}", kernel.name());
                    assert_eq!(again.panel(panel), want);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_the_oracle(rows in 1_usize..150, cols in 1_usize..80) {
            check::<f32>(rows, cols);
            check::<bf16>(rows, cols);
        }
    }
}
