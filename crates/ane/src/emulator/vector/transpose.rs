//! Rows into columns, four by four in registers.

use half::f16;

/// Rows and columns of a block: what it reads and writes stays in the first cache.
const BLOCK: usize = 32;
/// Rows and columns that are turned together: four elements are a `u64`.
const FOUR: usize = 4;

/// `out[c * out_step + r] = data[start(r) + c]`, for `rows` and `cols`.
#[inline]
pub(super) fn transpose(
    data: &[f16],
    start: impl Fn(usize) -> usize,
    [rows, cols]: [usize; 2],
    out: &mut [f16],
    out_step: usize,
) {
    for col in (0..cols).step_by(BLOCK) {
        for row in (0..rows).step_by(BLOCK) {
            let block = [BLOCK.min(rows - row), BLOCK.min(cols - col)];
            let start = |r: usize| start(row + r) + col;
            turn_block(data, start, block, &mut out[col * out_step + row..], out_step);
        }
    }
}

#[inline]
fn turn_block(
    data: &[f16],
    start: impl Fn(usize) -> usize,
    [rows, cols]: [usize; 2],
    out: &mut [f16],
    out_step: usize,
) {
    let whole = [rows - rows % FOUR, cols - cols % FOUR];
    for row in (0..whole[0]).step_by(FOUR) {
        let from: [&[f16]; FOUR] = std::array::from_fn(|r| &data[start(row + r)..][..cols]);
        for col in (0..whole[1]).step_by(FOUR) {
            let turned = turn(from.map(|from| four(&from[col..])));
            for (c, four) in turned.into_iter().enumerate() {
                let out = &mut out[(col + c) * out_step + row..];
                if let Some(out) = out.first_chunk_mut::<FOUR>() {
                    *out = bytemuck::cast(four);
                }
            }
        }
    }
    for row in 0..rows {
        let from = &data[start(row)..][..cols];
        let left = if row < whole[0] { whole[1] } else { 0 };
        for col in left..cols {
            out[col * out_step + row] = from[col];
        }
    }
}

/// The first four elements, in memory's order.
#[inline(always)]
fn four(x: &[f16]) -> u64 {
    x.first_chunk::<FOUR>().map_or(0, |four| bytemuck::cast(*four))
}

/// Rows of four elements into columns. The masks tell elements apart by their place in a word, and
/// which end is the first matters to neither: a transpose from the last corner is the same.
#[inline(always)]
fn turn([a, b, c, d]: [u64; FOUR]) -> [u64; FOUR] {
    if cfg!(target_endian = "big") {
        let [d, c, b, a] = turn_low_first([d, c, b, a]);
        return [a, b, c, d];
    }
    turn_low_first([a, b, c, d])
}

/// The same where a row's first element is in the word's low bits.
#[inline(always)]
fn turn_low_first([a, b, c, d]: [u64; FOUR]) -> [u64; FOUR] {
    const EVEN: u64 = 0x0000_FFFF_0000_FFFF;
    const LOW: u64 = 0x0000_0000_FFFF_FFFF;
    let pair = |x: u64, y: u64| ((x & EVEN) | ((y & EVEN) << 16), ((x >> 16) & EVEN) | (y & !EVEN));
    let ((ab_even, ab_odd), (cd_even, cd_odd)) = (pair(a, b), pair(c, d));
    let join = |x: u64, y: u64| ((x & LOW) | (y << 32), (x >> 32) | (y & !LOW));
    let ((first, third), (second, fourth)) = (join(ab_even, cd_even), join(ab_odd, cd_odd));
    [first, second, third, fourth]
}
