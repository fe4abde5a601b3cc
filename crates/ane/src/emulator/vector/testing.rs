//! What the tests of these operations share: devices, elements, and views of every kind.

use aneal_mil::{MAX_RANK, Shape};
use half::f16;
use proptest::prelude::*;

use super::super::layout::{Layout, View};
use crate::arithmetic::{Fold, Nan, Subnormals, Tie};
use crate::{Arithmetic, Profile};

/// The built-in profiles' arithmetic, and every other way that an element-wise unit may go.
pub(super) fn arithmetics() -> impl Strategy<Value = Arithmetic> {
    let names: Vec<&str> = Profile::names().collect();
    let named =
        prop::sample::select(names).prop_map(|name| Profile::named(name).unwrap().arithmetic);
    prop_oneof![named, prop::sample::select(units())]
}

/// Every way that an element-wise unit may go.
pub(super) fn units() -> Vec<Arithmetic> {
    let base = Profile::named("m1").unwrap().arithmetic;
    (0..16)
        .map(|ways| Arithmetic {
            tie: if ways & 1 == 0 { Tie::Even } else { Tie::Away },
            nan: if ways & 2 == 0 { Nan::Ieee } else { Nan::Number },
            subnormal_elements: if ways & 4 == 0 { Subnormals::Keep } else { Subnormals::Flush },
            reduce_sum: if ways & 8 == 0 { Fold::Half } else { Fold::F32 },
            ..base.clone()
        })
        .collect()
}

/// Elements that are a pure function of `seed` (SplitMix64): of close sizes, of any bits at all, or
/// mostly zeros, infinities, NaN and the ends of the ranges.
pub(super) fn bits(seed: u64, n: usize) -> Vec<f16> {
    const SPECIAL: [u16; 12] =
        [0, 1, 2, 0x3FF, 0x400, 0x401, 0x3C00, 0x3C01, 0x7800, 0x7BFF, 0x7C00, 0x7E01];
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    (0..n)
        .map(|_| {
            let z = next();
            f16::from_bits(match seed % 3 {
                0 => (z as u16 & 0x8FFF) | 0x3000,
                1 => z as u16,
                _ if z >> 32 & 3 == 0 => z as u16,
                _ => SPECIAL[(z >> 40) as usize % SPECIAL.len()] | (z as u16 & 0x8000),
            })
        })
        .collect()
}

/// Elements and a way to look at them.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) data: Vec<f16>,
    pub(super) layout: Layout,
}

impl Source {
    pub(super) fn view(&self) -> View<'_> {
        View { data: &self.data, layout: self.layout }
    }
}

/// Views with up to `longest` elements along an axis: permuted, with gaps, backwards, repeated.
pub(super) fn view(longest: usize) -> impl Strategy<Value = Source> {
    dims(longest).prop_flat_map(view_of)
}

/// Dimensions, up to `longest`, of 20,000 elements at most.
pub(super) fn dims(longest: usize) -> impl Strategy<Value = Vec<usize>> {
    let dim = prop_oneof![Just(1), 1..=longest.min(9), 1..=longest];
    prop::collection::vec(dim, 1..=MAX_RANK).prop_map(|mut dims| {
        while dims.iter().product::<usize>() > 20_000 {
            dims.pop();
        }
        dims
    })
}

/// Views of those dimensions.
pub(super) fn view_of(dims: Vec<usize>) -> impl Strategy<Value = Source> {
    let rank = dims.len();
    let strides = prop_oneof![4 => Just(1isize), 1 => Just(2), 1 => Just(-1), 1 => Just(0)];
    let strides = prop::collection::vec(strides, rank);
    let order = Just((0..rank).collect::<Vec<_>>()).prop_shuffle();
    (strides, prop_oneof![Just((0..rank).collect()), order], 0usize..40, any::<u64>()).prop_map(
        move |(strides, order, offset, seed)| {
            // Axis `i` of the buffer is axis `order[i]` of the view, and longer where there are gaps.
            let held = |i: usize| match strides[i] {
                0 => 1,
                stride => dims[order[i]] * stride.unsigned_abs(),
            };
            let shape = Shape::new(&(0..rank).map(held).collect::<Vec<_>>()).unwrap();
            let mut layout = Layout::dense(&shape, offset).unwrap();
            for (axis, &stride) in strides.iter().enumerate() {
                let dim = dims[order[axis]];
                layout = match stride {
                    0 => layout,
                    -1 => layout.sliced(axis, dim - 1, -1, dim),
                    stride => layout.sliced(axis, 0, stride, dim),
                };
            }
            let mut back = vec![0; rank];
            order.iter().enumerate().for_each(|(i, &axis)| back[axis] = i);
            let layout = layout.permuted(&back).broadcast(&Shape::new(&dims).unwrap()).unwrap();
            Source { data: bits(seed, offset + shape.elements()), layout }
        },
    )
}

/// The elements along `axes`, row-major, for each place of the other axes.
pub(super) fn gathered(x: View<'_>, axes: &[usize]) -> Vec<Vec<f16>> {
    let rank = x.layout.rank();
    let order: Vec<usize> =
        (0..rank).filter(|i| !axes.contains(i)).chain(axes.iter().copied()).collect();
    let terms = axes.iter().map(|&axis| x.layout.dims()[axis]).product();
    let ordered = View { data: x.data, layout: x.layout.permuted(&order) };
    let values: Vec<f16> = ordered.iter().collect();
    values.chunks(terms).map(<[f16]>::to_vec).collect()
}

/// Runs `f` in a pool of `threads` threads.
pub(super) fn in_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// Fails unless all bits are equal.
#[track_caller]
pub(super) fn assert_bits(what: &str, found: &[f16], want: &[f16]) {
    assert_eq!(found.len(), want.len(), "{what}: lengths");
    for (i, (found, want)) in found.iter().zip(want).enumerate() {
        assert_eq!(found.to_bits(), want.to_bits(), "{what}[{i}]: {found:e}, expected {want:e}");
    }
}
