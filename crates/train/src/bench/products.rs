//! The matrix products of a model alone, at the sizes of a micro-batch.

use std::time::Instant;

use aneal_kernels::matmul::{Add, Kernel, Left, Mat, MatMut, Panels, Store, matmul};
use aneal_kernels::{Element, bf16};
use aneal_model::Precision;
use serde::Serialize;

use super::{Seconds, Subject};

/// Rows of a product, as in a micro-batch of the CPU backend.
const ROWS: usize = 2560;

/// One product, `[m, k] x [k, n]`.
#[derive(Clone, Debug, Serialize)]
pub struct Product {
    /// Weight and direction.
    pub name: String,
    /// Rows.
    pub m: usize,
    /// Columns.
    pub n: usize,
    /// Inner dimension.
    pub k: usize,
    /// How often a step has it, for each micro-batch.
    pub count: usize,
    /// Time of one.
    pub seconds: Seconds,
}

impl Product {
    /// 10^9 multiplications and additions a second.
    pub fn gflops(&self) -> f64 {
        self.flops() / self.seconds.median / 1e9
    }

    fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }
}

/// The speed of all products of a step together.
pub fn total_gflops(products: &[Product]) -> f64 {
    let sum =
        |f: fn(&Product) -> f64| -> f64 { products.iter().map(|p| p.count as f64 * f(p)).sum() };
    sum(Product::flops) / sum(|p| p.seconds.median) / 1e9
}

/// Every product of a step, forward, of input gradients (dX) and of weight gradients (dW).
pub fn products(subject: &Subject) -> Vec<Product> {
    match subject.precision {
        Precision::F32 => typed::<f32>(subject),
        Precision::Bf16 => typed::<bf16>(subject),
    }
}

fn typed<E: Element>(subject: &Subject) -> Vec<Product> {
    let config = &subject.model;
    let (d, h, q, layers) = (config.dim, config.hidden, config.q_width(), config.layers);
    // Name, out, in, how many.
    let weights = [
        ("wqkv", config.qkv_width(), d, layers),
        ("wo", d, q, layers),
        ("w13", 2 * h, d, layers),
        ("w2", d, h, layers),
        ("classifier", config.vocab_size, d, 1),
    ];
    let rows = ROWS.min(subject.batch_tokens);
    let mut products = Vec::new();
    for (name, out, inner, count) in weights {
        let sizes =
            [("forward", rows, out, inner), ("dX", rows, inner, out), ("dW", out, inner, rows)];
        for (direction, m, n, k) in sizes {
            let seconds = match direction {
                "dW" => time_weight_grad::<E>(subject, m, n, k),
                _ => time_product::<E>(subject, m, n, k),
            };
            products.push(Product { name: format!("{name} {direction}"), m, n, k, count, seconds });
        }
    }
    products
}

/// Values that are neither subnormal nor special; which ones does not matter.
fn operand<E: Element>(n: usize) -> Vec<E> {
    (0..n).map(|i| E::from_f32((i % 251) as f32 / 251.0 - 0.5)).collect()
}

fn time_product<E: Element>(subject: &Subject, m: usize, n: usize, k: usize) -> Seconds {
    let (a, b) = (operand::<E>(m * k), operand::<E>(k * n));
    let mut right = Panels::new(Kernel::best());
    right.pack(Mat::new(&b, k, n));
    let mut c = operand::<E>(m * n);
    repeat(subject, || {
        let out = MatMut::new(&mut c, m, n);
        matmul(Left::rows(Mat::new(&a, m, k)), right.view(), Store { out, scale: 1.0 });
    })
}

fn time_weight_grad<E: Element>(subject: &Subject, m: usize, n: usize, k: usize) -> Seconds {
    let (dy, x) = (operand::<E>(k * m), operand::<E>(k * n));
    let kernel = Kernel::<E>::best();
    let (mut left, mut right) = (Panels::new(kernel), Panels::new(kernel));
    left.pack(Mat::new(&dy, k, m));
    right.pack(Mat::new(&x, k, n));
    let mut c = vec![0.0; m * n];
    repeat(subject, || {
        let out = MatMut::new(&mut c, m, n);
        matmul(Left::transposed(left.view()), right.view(), Add { out, scale: 1.0 });
    })
}

/// Several in a row, as a step has them, so that the clock is precise.
fn repeat(subject: &Subject, mut product: impl FnMut()) -> Seconds {
    const TIMES: usize = 4;
    product();
    let times = (0..subject.repeats).map(|_| {
        let start = Instant::now();
        (0..TIMES).for_each(|_| product());
        start.elapsed().as_secs_f64() / TIMES as f64
    });
    Seconds::of(times.collect())
}
