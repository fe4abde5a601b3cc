//! The token embedding: rows of a table looked up, gradients added back to them.

use rayon::prelude::*;

/// `x[T, D]`: row `ids[t]` of `table[V, D]` for every t.
///
/// # Panics
/// If an id has no row; callers check ids where they enter the program.
pub fn forward(x: &mut [f32], ids: &[u32], table: &[f32], d: usize) {
    assert_eq!(x.len(), ids.len() * d, "embedding: [{}, {d}]", ids.len());
    x.par_chunks_mut(d).with_min_len(64).zip(ids).for_each(|(row, &id)| {
        row.copy_from_slice(&table[id as usize * d..(id as usize + 1) * d]);
    });
}

/// Accumulates `dx[T, D]` into the rows of `dtable[V, D]`, in the order of the tokens.
///
/// Serial on purpose: the same row may occur many times, the order of its sum is part of the result,
/// and the work is one addition per value where a matrix product does hundreds.
pub fn backward(dtable: &mut [f32], ids: &[u32], dx: &[f32], d: usize) {
    assert_eq!(dx.len(), ids.len() * d, "embedding: [{}, {d}]", ids.len());
    for (row, &id) in dx.chunks_exact(d).zip(ids) {
        let sum = &mut dtable[id as usize * d..(id as usize + 1) * d];
        for (sum, v) in sum.iter_mut().zip(row) {
            *sum += v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uniform;

    #[test]
    fn looks_rows_up_and_adds_their_gradients_back() {
        let (v, d, ids) = (5, 3, [4_u32, 0, 4, 2]);
        let table = uniform(1, v * d);
        let mut x = vec![0.0; ids.len() * d];
        forward(&mut x, &ids, &table, d);
        for (t, &id) in ids.iter().enumerate() {
            for j in 0..d {
                assert_eq!(x[t * d + j], table[id as usize * d + j]);
            }
        }
        let dx = uniform(2, ids.len() * d);
        let mut dtable = vec![1.0; v * d];
        backward(&mut dtable, &ids, &dx, d);
        for j in 0..d {
            assert_eq!(dtable[4 * d + j], 1.0 + dx[j] + dx[2 * d + j], "a row that occurs twice");
            assert_eq!(dtable[d + j], 1.0, "a row that does not occur");
        }
    }
}
