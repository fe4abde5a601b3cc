//! Products that give gradients of weights, `dW[out, in] += scale dy[T, out]^T x[T, in]`.

use aneal_kernels::matmul::{Add, Kernel, Left, Panels, matmul};
use aneal_kernels::{Element, Mat, MatMut};

use crate::profile::{Op, Profile};

/// Both operands of such a product, put in order.
#[derive(Debug)]
pub(crate) struct WeightGradOperands<E: Element> {
    dy: Panels<E>,
    x: Panels<E>,
}

impl<E: Element> WeightGradOperands<E> {
    /// Empty, for products by `kernel`.
    pub(crate) fn new(kernel: Kernel<E>) -> Self {
        Self { dy: Panels::new(kernel), x: Panels::new(kernel) }
    }

    /// Takes the gradient of an output.
    pub(crate) fn pack_dy(&mut self, profile: &mut Profile, dy: Mat<'_, E>) {
        profile.time(Op::Packing, || self.dy.pack(dy));
    }

    /// Adds the gradient of the weights `[out, in]` that made that output from `x`.
    pub(crate) fn add(&mut self, profile: &mut Profile, dw: &mut [f32], scale: f32, x: Mat<'_, E>) {
        profile.time(Op::Packing, || self.x.pack(x));
        let mul_adds = dw.len() * x.rows();
        let out = MatMut::new(dw, dw.len() / x.cols(), x.cols());
        let dy = Left::transposed(self.dy.view());
        profile.product(Op::WeightGrads, mul_adds, || {
            matmul(dy, self.x.view(), Add { out, scale });
        });
    }
}
