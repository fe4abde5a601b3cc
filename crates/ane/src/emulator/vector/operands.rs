//! Operands of an operation that goes element by element, as blocks of neighbours.
//!
//! Whatever the operands' layouts, the loops over values see slices: a row without gaps is sliced, a
//! repeated element fills a buffer, and an operand that lies otherwise is copied into order first.

use half::f16;

use super::copy;
use super::nest::Nest;

/// Elements of a block: operands and result of a block stay in the first cache.
const BLOCK: usize = 256;
/// Rows shorter than this are put one behind the other first.
const SHORT: usize = 32;

/// The operands of a piece of work that must be copied, dense; others are empty.
pub(super) fn scratch<const N: usize>(nest: &Nest<N>, data: [&[f16]; N]) -> [Vec<f16>; N] {
    let steps = nest.row_steps();
    let short = nest.row() < SHORT && nest.dims().len() > 1;
    std::array::from_fn(|n| {
        if matches!(steps[n], 0 | 1) && !short {
            return Vec::new();
        }
        let mut dense = vec![f16::ZERO; nest.places()];
        copy::piece(&nest.only(n), data[n], &mut dense);
        dense
    })
}

/// `N` operands of a piece of work.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a, const N: usize> {
    nest: Nest<N>,
    data: [&'a [f16]; N],
}

impl<'a, const N: usize> Operands<'a, N> {
    /// `scratch` is what [`scratch`] gave for the same nest.
    pub(super) fn new(
        mut nest: Nest<N>,
        mut data: [&'a [f16]; N],
        scratch: &'a [Vec<f16>; N],
    ) -> Self {
        let mut copied = 0;
        for (n, dense) in scratch.iter().enumerate().filter(|(_, dense)| !dense.is_empty()) {
            nest = nest.with_dense(n);
            data[n] = dense;
            copied += 1;
        }
        if copied == N {
            Self { nest: Nest::flat(nest.places()), data }
        } else {
            Self { nest, data }
        }
    }

    /// Calls `f` with blocks of all operands and of `out`, in order.
    #[inline(always)]
    pub(super) fn blocks(&self, out: &mut [f16], mut f: impl FnMut([&[f16]; N], &mut [f16])) {
        let (row, steps) = (self.nest.row(), self.nest.row_steps());
        let mut repeated = [[f16::ZERO; BLOCK]; N];
        for (at, out) in self.nest.rows().zip(out.chunks_exact_mut(row)) {
            for n in 0..N {
                if steps[n] == 0 {
                    repeated[n][..row.min(BLOCK)].fill(self.data[n][at[n]]);
                }
            }
            for (block, out) in out.chunks_mut(BLOCK).enumerate() {
                let x = std::array::from_fn(|n| match steps[n] {
                    0 => &repeated[n][..out.len()],
                    _ => &self.data[n][at[n] + block * BLOCK..][..out.len()],
                });
                f(x, out);
            }
        }
    }
}
