//! Between f32 tensors and blocks of fp16 in surfaces, row by row or turned, and how much of it fp16
//! cannot hold.
//!
//! Every function returns how many halves are as large as fp16 gets: the engine turns what overflows
//! into infinity, and infinity and NaN that it is given into numbers (C66), so that they must be
//! noticed at its door.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// The largest finite fp16 value, 65,504, as bits.
const LARGEST: u16 = 0x7BFF;
/// Rows and columns that are turned at once: what is read and written of them stays in the first
/// cache.
const TILE: usize = 32;

/// Where a block lies among the halves of a surface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Of its first half.
    pub(super) start: usize,
    /// Halves from one row to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Place {
    /// Where row `row` lies.
    fn row(&self, row: usize) -> std::ops::Range<usize> {
        let start = self.start + row * self.stride;
        start..start + self.columns
    }
}

/// Writes `values[rows, columns]`.
pub(super) fn write(surface: &mut [f16], place: Place, values: &[f32]) -> u64 {
    let mut beyond = 0;
    for (row, values) in values.chunks_exact(place.columns).take(place.rows).enumerate() {
        let halves = &mut surface[place.row(row)];
        halves.convert_from_f32_slice(values);
        beyond += beyond_range(halves);
    }
    beyond
}

/// Writes `values[columns, rows]`.
pub(super) fn write_turned(surface: &mut [f16], place: Place, values: &[f32]) -> u64 {
    let mut beyond = 0;
    for_tiles(place, |rows, columns| {
        let mut tile = [[f16::ZERO; TILE]; TILE];
        for (line, column) in tile.iter_mut().zip(columns.clone()) {
            let values = &values[column * place.rows..][rows.clone()];
            let line = &mut line[..rows.len()];
            line.convert_from_f32_slice(values);
            beyond += beyond_range(line);
        }
        for (at, row) in rows.enumerate() {
            let halves = &mut surface[place.row(row)][columns.clone()];
            for (half, line) in halves.iter_mut().zip(&tile) {
                *half = line[at];
            }
        }
    });
    beyond
}

/// Reads into `values[rows, columns]`.
pub(super) fn read(surface: &[f16], place: Place, values: &mut [f32]) -> u64 {
    let mut beyond = 0;
    for (row, values) in values.chunks_exact_mut(place.columns).take(place.rows).enumerate() {
        let halves = &surface[place.row(row)];
        halves.convert_to_f32_slice(values);
        beyond += beyond_range(halves);
    }
    beyond
}

/// Reads into `values[columns, rows]`.
pub(super) fn read_turned(surface: &[f16], place: Place, values: &mut [f32]) -> u64 {
    let mut beyond = 0;
    for_tiles(place, |rows, columns| {
        let mut tile = [[f16::ZERO; TILE]; TILE];
        for (at, row) in rows.clone().enumerate() {
            let halves = &surface[place.row(row)][columns.clone()];
            beyond += beyond_range(halves);
            for (half, line) in halves.iter().zip(&mut tile) {
                line[at] = *half;
            }
        }
        for (line, column) in tile.iter().zip(columns) {
            let values = &mut values[column * place.rows..][rows.clone()];
            line[..rows.len()].convert_to_f32_slice(values);
        }
    });
    beyond
}

/// Copies a block of one surface to one of the same size in another.
pub(super) fn copy(to: &mut [f16], place: Place, from: &[f16], source: Place) -> u64 {
    let mut beyond = 0;
    for row in 0..place.rows {
        let halves = &from[source.row(row)];
        to[place.row(row)].copy_from_slice(halves);
        beyond += beyond_range(halves);
    }
    beyond
}

/// Every tile of a block, as ranges of its rows and columns.
fn for_tiles(place: Place, mut f: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>)) {
    for row in (0..place.rows).step_by(TILE) {
        for column in (0..place.columns).step_by(TILE) {
            f(row..(row + TILE).min(place.rows), column..(column + TILE).min(place.columns));
        }
    }
}

/// How many values are the largest that there are, infinite, or no numbers.
fn beyond_range(halves: &[f16]) -> u64 {
    // As signed numbers, whose maximum every instruction set has.
    let size = |half: &f16| (half.to_bits() & 0x7FFF) as i16;
    let largest = halves.iter().map(size).fold(0, i16::max);
    if largest < LARGEST as i16 {
        return 0;
    }
    halves.iter().filter(|half| size(half) >= LARGEST as i16).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values that fp16 holds, all different.
    fn values(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i % 2000) as f32 - 1000.0).collect()
    }

    fn turned(x: &[f32], columns: usize) -> Vec<f32> {
        let rows = x.len() / columns;
        (0..x.len()).map(|at| x[at % rows * columns + at / rows]).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            rows in 1_usize..70, columns in 1_usize..70, start in 0_usize..9, gap in 0_usize..9,
        ) {
            let place = Place { start, stride: columns + gap, rows, columns };
            let x = values(rows * columns);
            let mut surface = vec![f16::from_f32(0.5); start + rows * (columns + gap)];
            prop_assert_eq!(write(&mut surface, place, &x), 0);
            let untouched = surface.iter().filter(|half| half.to_f32() == 0.5).count();
            prop_assert_eq!(untouched, surface.len() - x.len());
            for row in 0..rows {
                for column in 0..columns {
                    let half = surface[start + row * (columns + gap) + column];
                    prop_assert_eq!(half.to_f32(), x[row * columns + column]);
                }
            }
            let mut read_back = vec![0.0; x.len()];
            prop_assert_eq!(read(&surface, place, &mut read_back), 0);
            prop_assert_eq!(&read_back, &x);
            prop_assert_eq!(read_turned(&surface, place, &mut read_back), 0);
            prop_assert_eq!(&read_back, &turned(&x, columns));

            let mut again = vec![f16::from_f32(0.5); surface.len()];
            prop_assert_eq!(write_turned(&mut again, place, &turned(&x, columns)), 0);
            prop_assert_eq!(&again, &surface);
            let mut copied = vec![f16::from_f32(0.5); surface.len()];
            prop_assert_eq!(copy(&mut copied, place, &surface, place), 0);
            prop_assert_eq!(&copied, &surface);
        }
    }

    #[test]
    fn what_fp16_cannot_hold_is_counted() {
        let (rows, columns) = (40, 33);
        let place = Place { start: 0, stride: columns, rows, columns };
        let mut x = values(rows * columns);
        for (at, large) in [65_504.0, -1e9, f32::NAN, f32::NEG_INFINITY].into_iter().enumerate() {
            x[at * 317] = large;
        }
        x[5] = 65_472.0; // one unit below the largest
        let mut surface = vec![f16::ZERO; x.len()];
        assert_eq!(write(&mut surface, place, &x), 4);
        assert_eq!(write_turned(&mut surface, place, &turned(&x, columns)), 4);
        assert_eq!(read(&surface, place, &mut vec![0.0; x.len()]), 4);
        assert_eq!(read_turned(&surface, place, &mut vec![0.0; x.len()]), 4);
        assert_eq!(copy(&mut vec![f16::ZERO; x.len()], place, &surface, place), 4);
    }
}
