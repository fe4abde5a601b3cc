//! Elements into row-major order.

use half::f16;

use super::super::layout::View;
use super::nest::Nest;

/// Rows and columns of a block of a transpose: source and target of a block stay in the first cache.
const TILE: usize = 16;
/// Rows shorter than this are copied element by element.
const SHORT: usize = 4;

/// The elements of `x`, row-major and bit for bit. `out` has as many.
pub(crate) fn copy(x: View<'_>, out: &mut [f16]) {
    Nest::new([&x.layout]).divide(out, 1, &|nest, out| piece(&nest, x.data, out));
}

/// The same on this thread.
pub(super) fn piece(nest: &Nest<1>, data: &[f16], out: &mut [f16]) {
    let (row, [step]) = (nest.row(), nest.row_steps());
    if row < SHORT {
        nest.each().zip(out).for_each(|([at], out)| *out = data[at]);
        return;
    }
    let rows = nest.rows().zip(out.chunks_exact_mut(row));
    match step {
        1 => rows.for_each(|([at], out)| out.copy_from_slice(&data[at..at + row])),
        0 => rows.for_each(|([at], out)| out.fill(data[at])),
        _ => match nest.dims().iter().enumerate().position(|(i, _)| nest.steps(i) == [1]) {
            Some(axis) => transpose(nest, axis, data, out),
            None => rows.for_each(|([at], out)| gather(data, at, step, out)),
        },
    }
}

/// Elements `step` apart.
pub(super) fn gather(data: &[f16], at: usize, step: isize, out: &mut [f16]) {
    let mut at = at;
    for out in out {
        *out = data[at];
        at = at.wrapping_add_signed(step);
    }
}

/// Where `axis` lies without gaps in the source: that axis and the innermost one block by block, for
/// each place of the others.
fn transpose(nest: &Nest<1>, axis: usize, data: &[f16], out: &mut [f16]) {
    let inner = nest.dims().len() - 1;
    let target = nest.with_dense(0);
    let matrix = Transpose {
        cols: nest.dims()[axis],
        rows: nest.dims()[inner],
        step: nest.row_steps()[0],
        out_step: target.steps(axis)[0] as usize,
    };
    let others = |nest: &Nest<1>| nest.without_axis(inner).without_axis(axis).each();
    for ([from], [to]) in others(nest).zip(others(&target)) {
        matrix.copy(data, from, &mut out[to..]);
    }
}

/// A matrix `[rows, cols]` whose rows lie `step` apart, to `[cols, rows]` with rows `out_step` apart.
struct Transpose {
    rows: usize,
    cols: usize,
    step: isize,
    out_step: usize,
}

impl Transpose {
    fn copy(&self, data: &[f16], from: usize, out: &mut [f16]) {
        for col in (0..self.cols).step_by(TILE) {
            for row in (0..self.rows).step_by(TILE) {
                let at = from.wrapping_add_signed(row as isize * self.step) + col;
                let out = &mut out[col * self.out_step + row..];
                let (rows, cols) = (TILE.min(self.rows - row), TILE.min(self.cols - col));
                self.block(data, at, out, rows, cols);
            }
        }
    }

    fn block(&self, data: &[f16], at: usize, out: &mut [f16], rows: usize, cols: usize) {
        let mut tile = [[f16::ZERO; TILE]; TILE];
        for (r, tile) in tile.iter_mut().enumerate().take(rows) {
            let at = at.wrapping_add_signed(r as isize * self.step);
            match data[at..].first_chunk() {
                Some(whole) => *tile = *whole,
                None => tile[..cols].copy_from_slice(&data[at..at + cols]),
            }
        }
        for c in 0..cols {
            let column = tile.map(|row| row[c]);
            let out = &mut out[c * self.out_step..];
            match out.first_chunk_mut() {
                Some(whole) if rows == TILE => *whole = column,
                _ => out[..rows].copy_from_slice(&column[..rows]),
            }
        }
    }
}
