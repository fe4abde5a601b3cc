//! Tensors one behind the other along an axis.

use std::ops::Range;

use half::f16;
use rayon::prelude::*;

use super::super::layout::View;
use super::copy::{self, copy};
use super::nest::{Nest, dense_steps};

/// Elements of the result that one thread writes at least.
const PIECE: usize = 1 << 15;
/// Shares of fewer elements are copied element by element.
const SHORT: usize = 16;

/// `parts` along `axis`: all of the first, then all of the second, or with `interleave` the first of
/// each, then the second of each. Their other dimensions are equal, with `interleave` all. `out` is
/// the whole result.
pub(crate) fn concat(parts: &[View<'_>], axis: usize, interleave: bool, out: &mut [f16]) {
    // A record is what lies between two neighbours along the axes in front.
    let lead = if interleave { axis + 1 } else { axis };
    let dense: Vec<Vec<f16>> = parts.iter().map(straightened).collect();
    let parts: Vec<Part<'_>> =
        parts.iter().zip(&dense).map(|(part, dense)| Part::new(part, dense, lead)).collect();
    let record: usize = parts.iter().map(|part| part.elements).sum();
    if record == 0 {
        return;
    }
    let records = (PIECE / record).max(1);
    out.par_chunks_mut(records * record).enumerate().for_each(|(piece, out)| {
        let mut begin = 0;
        for part in &parts {
            part.write(piece * records, out.chunks_exact_mut(record).map(|out| &mut out[begin..]));
            begin += part.elements;
        }
    });
}

/// The elements row-major, if a record's rows do not lie without gaps; else none.
fn straightened(part: &View<'_>) -> Vec<f16> {
    if matches!(Nest::new([&part.layout]).row_steps(), [0 | 1]) {
        return Vec::new();
    }
    let mut dense = vec![f16::ZERO; part.layout.elements()];
    copy(*part, &mut dense);
    dense
}

/// One of the tensors.
struct Part<'a> {
    data: &'a [f16],
    /// All of it.
    whole: Nest<1>,
    /// Where its share of each record starts.
    starts: Nest<1>,
    /// Its share of a record, from 0 on.
    share: Nest<1>,
    /// Of its share.
    elements: usize,
}

impl<'a> Part<'a> {
    fn new(view: &'a View<'_>, dense: &'a [f16], lead: usize) -> Self {
        let layout = view.layout;
        let (data, offset, steps) = if dense.is_empty() {
            (view.data, layout.offset, layout.steps().to_vec())
        } else {
            (dense, 0, dense_steps(layout.dims()))
        };
        let along = |offset: usize, axes: Range<usize>| {
            Nest::of([offset], axes.map(|axis| (layout.dims()[axis], [steps[axis]])))
        };
        let rank = layout.rank();
        let share = along(0, lead..rank);
        Self {
            data,
            whole: along(offset, 0..rank),
            starts: along(offset, 0..lead),
            share,
            elements: share.places(),
        }
    }

    /// Its shares of the records from `first` on, each to the start of its slice.
    fn write<'o>(&self, first: usize, records: impl Iterator<Item = &'o mut [f16]>) {
        if self.elements >= SHORT {
            for (from, out) in self.starts.each_from(first).zip(records) {
                copy::piece(&self.share.starting_at(from), self.data, &mut out[..self.elements]);
            }
            return;
        }
        let places = self.whole.each_from(first * self.elements);
        let outs = records.flat_map(|out| &mut out[..self.elements]);
        for ([at], out) in places.zip(outs) {
            *out = self.data[at];
        }
    }
}

#[cfg(test)]
mod tests {
    use aneal_mil::Shape;
    use proptest::prelude::*;

    use super::super::super::layout::Layout;
    use super::super::testing::{Source, assert_bits, bits, dims, in_threads, view_of};
    use super::*;

    /// Up to three parts, the axis, and whether they are interleaved.
    fn parts() -> impl Strategy<Value = (Vec<Source>, usize, bool)> {
        let axis = any::<prop::sample::Index>();
        let lengths = prop::collection::vec(1usize..20, 1..4);
        (dims(40), axis, lengths, any::<bool>()).prop_flat_map(
            |(dims, axis, lengths, interleave)| {
                let axis = axis.index(dims.len());
                let views: Vec<_> = lengths
                    .into_iter()
                    .map(|length| {
                        let mut dims = dims.clone();
                        dims[axis] = if interleave { dims[axis] } else { length };
                        view_of(dims)
                    })
                    .collect();
                (views, Just(axis), Just(interleave))
            },
        )
    }

    /// The elements of `parts`, plainly: records of the axes in front, then the parts' shares.
    fn reference(parts: &[View<'_>], axis: usize, interleave: bool) -> Vec<f16> {
        let shares: Vec<(Vec<f16>, usize)> = parts
            .iter()
            .map(|part| {
                let from = if interleave { axis + 1 } else { axis };
                (part.iter().collect(), part.layout.dims()[from..].iter().product())
            })
            .collect();
        let records = shares[0].0.len() / shares[0].1;
        (0..records)
            .flat_map(|i| shares.iter().flat_map(move |(x, n)| x[i * n..(i + 1) * n].to_vec()))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn puts_parts_behind_each_other((sources, axis, interleave) in parts()) {
            let parts: Vec<View<'_>> = sources.iter().map(Source::view).collect();
            let want = reference(&parts, axis, interleave);
            let mut out = vec![f16::ONE; want.len()];
            in_threads(2, || concat(&parts, axis, interleave, &mut out));
            assert_bits("concat", &out, &want);
        }
    }

    #[test]
    fn large_tensors_are_shared_by_threads() {
        let data = bits(1, 301 * 260);
        let view = |rows, cols| {
            let shape = Shape::new(&[rows, cols]).unwrap();
            View { data: &data, layout: Layout::dense(&shape, 0).unwrap() }
        };
        for (parts, axis, interleave) in [
            ([view(301, 130), view(301, 7)], 1, false),
            ([view(301, 130), view(200, 130)], 0, false),
            ([view(301, 260), view(301, 260)], 0, true),
            ([view(301, 260), view(301, 260)], 1, true),
        ] {
            let want = reference(&parts, axis, interleave);
            for threads in [1, 2] {
                let mut out = vec![f16::ONE; want.len()];
                in_threads(threads, || concat(&parts, axis, interleave, &mut out));
                assert_bits("concat", &out, &want);
            }
        }
    }
}
