//! Operands as the innermost loop reads them: decoded once, in panels as wide as a tile.
//!
//! Within a panel the lanes of one inner index lie side by side, `[K, width]`, whatever the
//! strides of the source: a left operand has its rows in lanes, a right one its columns. Lanes and
//! inner indices that the source does not have are zero, and K is a multiple of 4. On the way,
//! what bounds on products and sums need is collected.

use aneal_kernels::simd::{self, Level};
use half::f16;
use rayon::prelude::*;

use super::decode::{Count, Decode, Decoding, Role};
use super::tile::MAX_COLS;
use crate::emulator::layout::MatrixLayout;

/// Inner indices that a norm covers, and that are decoded at once. A multiple of 4.
pub(super) const BLOCK: usize = 64;

/// f32 values in a cache line: where panels start, so that no full vector lies in two.
const LINE: usize = 16;

/// What is known of a panel's values as operands, whether finite or not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// The largest of its peaks.
    pub(super) peak: f32,
    /// The edge that reaches furthest: a left operand's largest, a right one's smallest.
    pub(super) edge: f32,
    /// Largest norm of a lane.
    pub(super) longest: f32,
    /// Smallest norm of a lane but 0; infinite if there is none.
    pub(super) shortest: f32,
    /// Most values of a lane that are below a size, see [`Packed::count_below`], but not 0.
    pub(super) small: f32,
}

/// A packed operand. Keeps its memory when it is packed anew.
#[derive(Debug, Default)]
pub(super) struct Packed {
    lengths: Lengths,
    data: Vec<f32>,
    /// Where the first panel starts in `data`.
    start: usize,
    extents: Vec<Extent>,
    /// What values are multiplied by.
    scale: f32,
}

/// The parts of a panel.
#[derive(Clone, Copy, Debug, Default)]
struct Lengths {
    width: usize,
    inner: usize,
    /// Of the thresholds.
    least: usize,
}

/// One panel of a packed operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel<'a> {
    pub(super) lines: Lines<'a>,
    /// `[K / BLOCK, width]`, rounded up: norms of the lanes' blocks.
    pub(super) norms: &'a [f32],
    pub(super) extent: Extent,
}

/// Inner indices of a panel: what the innermost loop reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    /// `[K, width]`
    pub(super) values: &'a [f32],
    /// `[K, width]`: the thresholds of the values, or the values if they have none.
    pub(super) least: &'a [f32],
    /// `[K]`: see [`Decode::peaks`]; of operands of fixed-point sums.
    pub(super) peaks: &'a [f32],
    /// `[K]`: see [`Decode::edges`]; as above.
    pub(super) edges: &'a [f32],
}

impl<'a> Lines<'a> {
    /// The same in blocks of [`BLOCK`] inner indices.
    pub(super) fn blocks(self, width: usize) -> impl Iterator<Item = Lines<'a>> {
        let lines = self.values.chunks(BLOCK * width).zip(self.least.chunks(BLOCK * width));
        let marks = self.peaks.chunks(BLOCK).zip(self.edges.chunks(BLOCK));
        lines.zip(marks).map(|((values, least), (peaks, edges))| Lines {
            values,
            least,
            peaks,
            edges,
        })
    }
}

impl Lengths {
    fn values(self) -> usize {
        self.inner * self.width
    }

    fn norms(self) -> usize {
        self.inner.div_ceil(BLOCK) * self.width
    }

    fn all(self) -> usize {
        (self.values() + self.least + self.norms() + 2 * self.inner).next_multiple_of(LINE)
    }
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
        let inner = layout.rows.next_multiple_of(4);
        let least = if decoding.has_thresholds() { inner * width } else { 0 };
        let lengths = Lengths { width, inner, least };
        let (panels, len) = (layout.cols.div_ceil(width), lengths.all());
        (self.lengths, self.scale) = (lengths, decoding.scale());
        self.extents.clear();
        self.extents.resize(panels, Extent::default());
        if self.data.len() < panels * len + LINE {
            self.data.resize(panels * len + LINE, 0.0);
        }
        self.start = self.data.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        let fill = |(panel, (out, extent)): (usize, (&mut [f32], &mut Extent))| {
            let source = Source { data, layout, first: panel * width, width };
            *extent = fill_panel(level, out, lengths, source, decoding);
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
        self.lengths.inner
    }

    pub(super) fn panels(&self) -> usize {
        self.extents.len()
    }

    pub(super) fn panel(&self, panel: usize) -> Panel<'_> {
        let (lengths, extent) = (self.lengths, self.extents[panel]);
        let len = lengths.all();
        let (values, rest) =
            self.data[self.start + panel * len..][..len].split_at(lengths.values());
        let (least, rest) = rest.split_at(lengths.least);
        let least = if least.is_empty() { values } else { least };
        let (norms, rest) = rest.split_at(lengths.norms());
        let (peaks, rest) = rest.split_at(lengths.inner);
        let lines = Lines { values, least, peaks, edges: &rest[..lengths.inner] };
        Panel { lines, norms, extent }
    }

    /// The root of the mean square of all values.
    pub(super) fn root_mean_square(&self) -> f32 {
        let norms = (0..self.panels()).flat_map(|panel| self.panel(panel).norms);
        let sum: f32 = norms.map(|norm| norm * norm).sum();
        (sum / (self.lengths.values() * self.panels()).max(1) as f32).sqrt()
    }

    /// Sets [`Extent::small`] for values below `size`.
    pub(super) fn count_below(&mut self, level: Level, size: f32) {
        // A nudged value may be an f32 step above itself.
        let size = size * self.scale * (1.0 + 2.0 * f32::EPSILON);
        for panel in 0..self.panels() {
            let values = self.panel(panel).lines.values;
            let count = Count { values, width: self.lengths.width, size };
            self.extents[panel].small = simd::run(level, count);
        }
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

fn fill_panel(
    level: Level,
    out: &mut [f32],
    lengths: Lengths,
    source: Source<'_>,
    decoding: Decoding,
) -> Extent {
    let width = lengths.width;
    let (values, rest) = out.split_at_mut(lengths.values());
    let (least, rest) = rest.split_at_mut(lengths.least);
    let (norms, rest) = rest.split_at_mut(lengths.norms());
    let (peaks, edges) = rest.split_at_mut(lengths.inner);
    let edges = &mut edges[..lengths.inner];
    let mut buffer = [f16::ZERO; BLOCK * MAX_COLS];
    let mut squares = [0.0; MAX_COLS];
    let blocks = values.chunks_mut(BLOCK * width).zip(norms.chunks_exact_mut(width));
    let marks = peaks.chunks_mut(BLOCK).zip(edges.chunks_mut(BLOCK));
    let mut least_blocks = least.chunks_mut(BLOCK * width);
    for (block, ((values, norms), (peaks, edges))) in blocks.zip(marks).enumerate() {
        let gathered = &mut buffer[..values.len()];
        source.gather(block * BLOCK, gathered);
        let least = least_blocks.next().unwrap_or_default();
        let work = Decode { decoding, source: gathered, width, values, least, peaks, edges };
        let found = simd::run(level, work);
        for (lane, norm) in norms.iter_mut().enumerate() {
            squares[lane] += found[lane];
            *norm = root(found[lane]);
        }
    }
    let lengths = squares.map(root);
    let edges = || edges.iter().copied();
    Extent {
        // By bits: what is no number is larger than any.
        peak: f32::from_bits(peaks.iter().map(|peak| peak.to_bits()).max().unwrap_or(0)),
        edge: match decoding.role {
            Role::FixedRight => edges().fold(f32::INFINITY, f32::min),
            _ => edges().fold(0.0, f32::max),
        },
        longest: lengths.into_iter().fold(0.0, f32::max),
        shortest: lengths.into_iter().filter(|l| *l > 0.0).fold(f32::INFINITY, f32::min),
        small: 0.0,
    }
}

/// What is no number is infinite: no bound holds for it.
fn root(square: f32) -> f32 {
    if square.is_nan() { f32::INFINITY } else { square.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

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
                let decoding = Decoding::new(&arithmetic, Role::Factor);
                packed.pack(Level::best(), 16, decoding, (&data, layout), parallel);
                assert_eq!((packed.inner(), packed.panels()), (132, 3));
                let all: Vec<f32> = (0..3)
                    .flat_map(|p| packed.panel(p).lines.values.iter().chain(packed.panel(p).norms))
                    .copied()
                    .collect();
                assert_eq!(all[16 * 130 + 15], value(130, 15).to_f32());
                assert_eq!(*first.get_or_insert_with(|| all.clone()), all);
            }
        }
    }
}
