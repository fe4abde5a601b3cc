//! Operands as the innermost loop reads them: decoded once, in panels as wide as a tile.
//!
//! Within a panel the lanes of one inner index lie side by side, `[K, width]`, whatever the
//! strides of the source: a left operand has its rows in lanes, a right one its columns. Lanes and
//! inner indices that the source does not have are zero, and K is a multiple of 4. On the way,
//! what bounds on sums need is collected: norms of every lane, largest and smallest values.

use aneal_kernels::simd::{self, Arch, Level, Work};
use half::f16;
use rayon::prelude::*;

use super::rule::{STEPS, nudged};
use super::tile::MAX_COLS;
use crate::arithmetic::{Arithmetic, LEAST_NORMAL, Nan, Subnormals};
use crate::emulator::layout::MatrixLayout;

/// Inner indices that a norm covers, and that are decoded at once. A multiple of 4.
pub(super) const BLOCK: usize = 64;

/// f32 values in a cache line: where panels start, so that no full vector lies in two.
const LINE: usize = 16;

/// How an operand is decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoding {
    /// All exponents are those of numbers.
    pub(super) number: bool,
    pub(super) flush: bool,
    /// For a left operand of fixed-point sums: values are [`nudged`].
    pub(super) nudge: bool,
    /// 2 to the power of the least sum of exponents that is not dropped; with thresholds.
    pub(super) least: Option<f32>,
}

impl Decoding {
    pub(super) fn new(arithmetic: &Arithmetic) -> Self {
        Self {
            number: arithmetic.nan == Nan::Number,
            flush: arithmetic.subnormal_operands == Subnormals::Flush,
            nudge: false,
            least: None,
        }
    }

    /// As [`Arithmetic::operand`], but for signs of zeros, which no sum shows.
    #[inline(always)]
    fn decode(self, x: f16) -> f32 {
        let bits = u32::from(x.to_bits());
        let size = (bits & 0x7FFF) << 13;
        // The exponent starts at -14 instead of -126; all ones become 16.
        let normal = f32::from_bits(size + (112 << 23));
        let subnormal = f32::from_bits(size + (113 << 23)) - LEAST_NORMAL;
        let subnormal = if self.flush { 0.0 } else { subnormal };
        let value = if size < 1 << 23 { subnormal } else { normal };
        let special = f32::from_bits(size | f32::INFINITY.to_bits());
        let value = if !self.number && size >= 0x1F << 23 { special } else { value };
        f32::from_bits(value.to_bits() | (bits & 0x8000) << 16)
    }
}

/// 2 to the power of a value's exponent; zero and subnormals count as 2^-14 (B.2(3)).
#[inline(always)]
pub(super) fn power(x: f32) -> f32 {
    f32::from_bits((x.to_bits() & f32::INFINITY.to_bits()).max(LEAST_NORMAL.to_bits()))
}

/// The size below which a right operand's product with `x` is dropped. Right operands below 2^-14
/// count as that, so no threshold is there or below.
#[inline(always)]
fn threshold(x: f32, least: f32) -> f32 {
    let inverse = f32::from_bits((254_u32 << 23).wrapping_sub(power(x).to_bits()));
    let size = least * inverse;
    if size <= LEAST_NORMAL { 0.0 } else { size }
}

/// What is known of a panel's values as operands, whether finite or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extent {
    /// Largest size.
    pub(super) largest: f32,
    /// Smallest size but 0.
    pub(super) smallest: f32,
    /// Largest norm of a lane.
    pub(super) longest: f32,
    /// Smallest norm of a lane but 0.
    pub(super) shortest: f32,
    /// Most values of a lane that are below a size, see [`Packed::count_below`], but not 0.
    pub(super) small: f32,
}

impl Default for Extent {
    /// Of zeros.
    fn default() -> Self {
        Self {
            largest: 0.0,
            smallest: f32::INFINITY,
            longest: 0.0,
            shortest: f32::INFINITY,
            small: 0.0,
        }
    }
}

/// A packed operand. Keeps its memory when it is packed anew.
#[derive(Debug, Default)]
pub(super) struct Packed {
    width: usize,
    inner: usize,
    thresholds: bool,
    nudged: bool,
    data: Vec<f32>,
    /// Where the first panel starts in `data`.
    start: usize,
    extents: Vec<Extent>,
}

/// One panel of a packed operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel<'a> {
    /// `[K, width]`
    pub(super) values: &'a [f32],
    /// `[K, width]`: the thresholds of the values, or the values if they have none.
    pub(super) least: &'a [f32],
    /// `[K / BLOCK, width]`, rounded up: norms of the lanes' blocks.
    pub(super) norms: &'a [f32],
    pub(super) extent: Extent,
}

impl Packed {
    /// Takes over `data`, of which `layout[K, lanes]` says where the values lie.
    pub(super) fn pack(
        &mut self,
        level: Level,
        width: usize,
        decoding: Decoding,
        (data, layout): (&[f16], MatrixLayout),
        parallel: bool,
    ) {
        self.width = width;
        self.inner = layout.rows.next_multiple_of(4);
        self.thresholds = decoding.least.is_some();
        self.nudged = decoding.nudge;
        let panels = layout.cols.div_ceil(width);
        self.extents.resize(panels, Extent::default());
        let len = self.panel_len();
        if self.data.len() < panels * len + LINE {
            self.data.resize(panels * len + LINE, 0.0);
        }
        self.start = self.data.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        let fill = |(panel, (out, extent)): (usize, (&mut [f32], &mut Extent))| {
            let first = panel * width;
            let source = Source { data, layout, first, width };
            *extent = fill_panel(level, out, source, decoding);
        };
        let out = &mut self.data[self.start..][..panels * len];
        if parallel {
            let out = out.par_chunks_exact_mut(len.max(1));
            out.zip(&mut self.extents).enumerate().for_each(fill);
        } else {
            let out = out.chunks_exact_mut(len.max(1));
            out.zip(&mut self.extents).enumerate().for_each(fill);
        }
    }

    /// K, rounded up.
    pub(super) fn inner(&self) -> usize {
        self.inner
    }

    pub(super) fn panels(&self) -> usize {
        self.extents.len()
    }

    pub(super) fn panel(&self, panel: usize) -> Panel<'_> {
        let len = self.panel_len();
        let (values, rest) =
            self.data[self.start + panel * len..][..len].split_at(self.inner * self.width);
        let (least, rest) =
            if self.thresholds { rest.split_at(values.len()) } else { (values, rest) };
        let norms = &rest[..self.inner.div_ceil(BLOCK) * self.width];
        Panel { values, least, norms, extent: self.extents[panel] }
    }

    /// The root of the mean square of all values.
    pub(super) fn root_mean_square(&self) -> f32 {
        let squares = (0..self.panels()).flat_map(|panel| self.panel(panel).norms);
        let sum: f32 = squares.map(|norm| norm * norm).sum();
        (sum / (self.inner * self.width * self.panels()).max(1) as f32).sqrt()
    }

    /// Sets [`Extent::small`] for values below `size`, in the units of what was decoded.
    pub(super) fn count_below(&mut self, level: Level, size: f32) {
        // A nudged value may be an f32 step above itself.
        let size = if self.nudged { size * STEPS * (1.0 + 2.0 * f32::EPSILON) } else { size };
        for panel in 0..self.panels() {
            let count = Count { values: self.panel(panel).values, width: self.width, size };
            self.extents[panel].small = simd::run(level, count);
        }
    }

    fn panel_len(&self) -> usize {
        let arrays = if self.thresholds { 2 } else { 1 };
        let norms = self.inner.div_ceil(BLOCK);
        ((arrays * self.inner + norms) * self.width).next_multiple_of(LINE)
    }
}

/// Some lanes of an operand.
#[derive(Clone, Copy)]
struct Source<'a> {
    data: &'a [f16],
    layout: MatrixLayout,
    first: usize,
    width: usize,
}

impl Source<'_> {
    /// Copies inner indices from `from` on to `out[count, width]`, zeros where there are none.
    fn gather(&self, from: usize, out: &mut [f16]) {
        let Self { data, layout, first, width } = *self;
        let count = (out.len() / width).min(layout.rows.saturating_sub(from));
        let lanes = width.min(layout.cols - first);
        let at = |k: usize, lane: usize| {
            let step = k as isize * layout.row_step + lane as isize * layout.col_step;
            layout.offset.wrapping_add_signed(step)
        };
        if count * lanes < out.len() {
            out.fill(f16::ZERO);
        }
        if layout.col_step == 1 {
            for (k, out) in out.chunks_exact_mut(width).take(count).enumerate() {
                out[..lanes].copy_from_slice(&data[at(from + k, first)..][..lanes]);
            }
        } else if layout.row_step == 1 {
            for lane in 0..lanes {
                let values = &data[at(from, first + lane)..][..count];
                for (out, value) in out[lane..].iter_mut().step_by(width).zip(values) {
                    *out = *value;
                }
            }
        } else {
            for (k, out) in out.chunks_exact_mut(width).take(count).enumerate() {
                for (lane, out) in out[..lanes].iter_mut().enumerate() {
                    *out = data[at(from + k, first + lane)];
                }
            }
        }
    }
}

fn fill_panel(level: Level, out: &mut [f32], source: Source<'_>, decoding: Decoding) -> Extent {
    let width = source.width;
    let inner = source.layout.rows.next_multiple_of(4);
    let (values, rest) = out.split_at_mut(inner * width);
    let thresholds = if decoding.least.is_some() { inner * width } else { 0 };
    let (least, norms) = rest.split_at_mut(thresholds);
    let mut least = least.chunks_mut(BLOCK * width);
    let mut buffer = [f16::ZERO; BLOCK * MAX_COLS];
    let (mut extent, mut squares) = (Extent::default(), [0.0; MAX_COLS]);
    let blocks = values.chunks_mut(BLOCK * width).zip(norms.chunks_exact_mut(width));
    for (block, (values, norms)) in blocks.enumerate() {
        let source_values = &mut buffer[..values.len()];
        source.gather(block * BLOCK, source_values);
        let least = least.next().unwrap_or_default();
        let work = Decode { decoding, source: source_values, values, least, width };
        let found = simd::run(level, work);
        extent.largest = extent.largest.max(found.largest);
        extent.smallest = extent.smallest.min(found.smallest);
        for (lane, norm) in norms.iter_mut().enumerate() {
            squares[lane] += found.squares[lane];
            *norm = root(found.squares[lane]);
        }
    }
    for length in squares.map(root) {
        extent.longest = extent.longest.max(length);
        if length > 0.0 {
            extent.shortest = extent.shortest.min(length);
        }
    }
    extent
}

/// What is no number is infinite: no bound holds for it.
fn root(square: f32) -> f32 {
    if square.is_nan() { f32::INFINITY } else { square.sqrt() }
}

/// One block of a panel.
struct Decode<'a> {
    decoding: Decoding,
    /// `[count, width]`, as the others
    source: &'a [f16],
    values: &'a mut [f32],
    /// Empty if thresholds are not needed.
    least: &'a mut [f32],
    width: usize,
}

struct Decoded {
    largest: f32,
    smallest: f32,
    squares: [f32; MAX_COLS],
}

impl Work for Decode<'_> {
    type Output = Decoded;

    #[inline(always)]
    fn run<A: Arch>(self) -> Decoded {
        match self.width {
            4 => self.sized::<4>(),
            8 => self.sized::<8>(),
            16 => self.sized::<16>(),
            _ => self.sized::<MAX_COLS>(),
        }
    }
}

impl Decode<'_> {
    #[inline(always)]
    fn sized<const WIDTH: usize>(self) -> Decoded {
        let decoding = self.decoding;
        let (mut largest, mut smallest) = ([0.0_f32; WIDTH], [f32::INFINITY; WIDTH]);
        let mut squares = [0.0; WIDTH];
        let (source, _) = self.source.as_chunks::<WIDTH>();
        let (values, _) = self.values.as_chunks_mut::<WIDTH>();
        for (source, values) in source.iter().zip(values.iter_mut()) {
            for lane in 0..WIDTH {
                let value = decoding.decode(source[lane]);
                let size = value.abs();
                largest[lane] = if size > largest[lane] { size } else { largest[lane] };
                let small = size < smallest[lane] && size > 0.0;
                smallest[lane] = if small { size } else { smallest[lane] };
                squares[lane] += value * value;
                values[lane] = value;
            }
        }
        if let Some(least) = decoding.least {
            for (out, value) in self.least.iter_mut().zip(values.as_flattened()) {
                *out = threshold(*value, least);
            }
        }
        if decoding.nudge {
            for value in values.as_flattened_mut() {
                *value = nudged(*value);
            }
        }
        let mut all = [0.0; MAX_COLS];
        all[..WIDTH].copy_from_slice(&squares);
        let largest = largest.into_iter().fold(0.0, f32::max);
        let smallest = smallest.into_iter().fold(f32::INFINITY, f32::min);
        Decoded { largest, smallest, squares: all }
    }
}

/// The most values of a lane that are not 0 and below `size`.
struct Count<'a> {
    values: &'a [f32],
    width: usize,
    size: f32,
}

impl Work for Count<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<A: Arch>(self) -> f32 {
        match self.width {
            4 => self.sized::<4>(),
            8 => self.sized::<8>(),
            16 => self.sized::<16>(),
            _ => self.sized::<MAX_COLS>(),
        }
    }
}

impl Count<'_> {
    #[inline(always)]
    fn sized<const WIDTH: usize>(self) -> f32 {
        let mut counts = [0_u32; WIDTH];
        for values in self.values.as_chunks::<WIDTH>().0 {
            for lane in 0..WIDTH {
                let size = values[lane].abs();
                counts[lane] += u32::from(size < self.size && size > 0.0);
            }
        }
        counts.into_iter().fold(0, u32::max) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    fn packed(level: Level, decoding: Decoding, data: &[f16], layout: MatrixLayout) -> Packed {
        let mut packed = Packed::default();
        packed.pack(level, MAX_COLS, decoding, (data, layout), false);
        packed
    }

    #[test]
    fn every_pattern_is_decoded_as_the_profile_says() {
        let data: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let layout = MatrixLayout { offset: 0, rows: 2048, cols: 32, row_step: 32, col_step: 1 };
        for name in ["m1", "m4", "strict"] {
            let mut arithmetic = Profile::named(name).unwrap().arithmetic;
            for flush in [Subnormals::Flush, Subnormals::Keep] {
                arithmetic.subnormal_operands = flush;
                for &level in Level::supported() {
                    let packed = packed(level, Decoding::new(&arithmetic), &data, layout);
                    for (x, found) in data.iter().zip(packed.panel(0).values) {
                        let want = arithmetic.operand(*x);
                        let same = want == *found || want.is_nan() && found.is_nan();
                        assert!(same, "{x:?} is {want}, not {found}, on {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn thresholds_drop_what_exponents_say() {
        let arithmetic = Profile::named("m4").unwrap().arithmetic;
        // One value of every exponent, and subnormals; zero drops nothing that counts.
        let data: Vec<f16> = (0..124).map(|i| f16::from_bits(i * 256 + 77)).collect();
        let layout = MatrixLayout { offset: 0, rows: 124, cols: 1, row_step: 1, col_step: 7 };
        for exponent in [-40, -16, -12, 0, 20] {
            let arithmetic =
                Arithmetic { least_product_exponent: Some(exponent), ..arithmetic.clone() };
            let least = Some((exponent as f32).exp2());
            let decoding = Decoding { least, ..Decoding::new(&arithmetic) };
            let packed = packed(Level::best(), decoding, &data, layout);
            let least = packed.panel(0).least.iter().step_by(MAX_COLS);
            for (x, least) in data.iter().zip(least) {
                for w in &data {
                    let (x, w) = (arithmetic.operand(*x), arithmetic.operand(*w));
                    let want = arithmetic.product(x, w) == 0.0;
                    assert_eq!(w.abs() < *least, want, "{x} {w} {exponent}");
                    assert_eq!(power(x) * power(w) < (exponent as f32).exp2(), want);
                }
            }
        }
    }

    #[test]
    fn all_strides_give_the_same_panels() {
        let arithmetic = Profile::named("m4").unwrap().arithmetic;
        let (rows, cols) = (131, 45);
        let value = |r: usize, c: usize| f16::from_f32((r * 50 + c) as f32 / 7.0);
        let layouts = [(50, 1), (1, 140), (100, 2), (2, 300), (-50, 1), (-1, 140)];
        let mut first: Option<Vec<f32>> = None;
        for (row_step, col_step) in layouts {
            let offset = if row_step < 0 { (rows as isize - 1) * -row_step } else { 3 } as usize;
            let layout = MatrixLayout { offset, rows, cols, row_step, col_step };
            let mut data = vec![f16::NAN; 14_000];
            for r in 0..rows {
                for c in 0..cols {
                    let step = r as isize * row_step + c as isize * col_step;
                    data[offset.wrapping_add_signed(step)] = value(r, c);
                }
            }
            for parallel in [false, true] {
                let mut packed = Packed::default();
                let decoding = Decoding::new(&arithmetic);
                packed.pack(Level::best(), 16, decoding, (&data, layout), parallel);
                assert_eq!((packed.inner(), packed.panels()), (132, 3));
                let all: Vec<f32> = (0..3)
                    .flat_map(|p| packed.panel(p).values.iter().chain(packed.panel(p).norms))
                    .copied()
                    .collect();
                assert_eq!(all[16 * 130 + 15], value(130, 15).to_f32());
                assert_eq!(*first.get_or_insert_with(|| all.clone()), all);
            }
        }
    }
}
