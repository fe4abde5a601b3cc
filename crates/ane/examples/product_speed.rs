//! Times the emulator's products in turns with a plain f32 product of the same shape, packing
//! included, and prints medians.
//!
//! `cargo run --release -p aneal-ane --example product_speed`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use aneal_ane::Profile;
use aneal_ane::arithmetic::Arithmetic;
use aneal_ane::emulator::Mode;
use aneal_ane::emulator::product::{Bias, Operand, product, product_serial};
use aneal_kernels::matmul::{Kernel, Left, Panels, Store, matmul, matmul_serial};
use aneal_kernels::{Mat, MatMut};
use half::f16;
use rayon::prelude::*;

const ROUNDS: usize = 15;

/// Matrices of one shape, `count` pairs of `[m, k]` and `[k, n]`.
struct Shape {
    count: usize,
    dims: [usize; 3],
    /// Standard deviations of the operands.
    sizes: [f32; 2],
    what: &'static str,
}

const SHAPES: [Shape; 5] = [
    Shape { count: 1, dims: [256, 512, 1024], sizes: [1.0, 0.05], what: "activations, weights" },
    Shape { count: 1, dims: [1024, 256, 512], sizes: [1.0, 0.05], what: "activations, weights" },
    Shape { count: 8, dims: [256, 64, 256], sizes: [1.0, 1.0], what: "heads" },
    Shape { count: 1, dims: [256, 512, 1024], sizes: [0.001, 0.05], what: "gradients, weights" },
    Shape { count: 1, dims: [256, 512, 1024], sizes: [20.0, 1.0], what: "large products" },
];

/// About normal: sums of four uniform values.
fn normal(seed: &mut u64, size: f32) -> f32 {
    let mut uniform = || {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..4).map(|_| uniform()).sum::<f32>() * size * 0.866
}

/// Seconds of `f`.
fn time(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Operands of one pair, in both precisions, and what holds the results.
struct Pair {
    half: [Vec<f16>; 2],
    single: [Vec<f32>; 2],
    out: Vec<f16>,
    plain: Vec<f32>,
    panels: Panels<f32>,
}

impl Pair {
    fn new(shape: &Shape, seed: &mut u64) -> Self {
        let [m, k, n] = shape.dims;
        let mut values = |len, size| (0..len).map(|_| f16::from_f32(normal(seed, size))).collect();
        let half: [Vec<f16>; 2] = [values(m * k, shape.sizes[0]), values(k * n, shape.sizes[1])];
        let single = half.each_ref().map(|half| half.iter().map(|x| x.to_f32()).collect());
        let panels = Panels::new(Kernel::best());
        Self { half, single, out: vec![f16::ZERO; m * n], plain: vec![0.0; m * n], panels }
    }

    fn plain(&mut self, [m, k, n]: [usize; 3], parallel: bool) {
        let right = Mat::new(&self.single[1], k, n);
        let left = Left::rows(Mat::new(&self.single[0], m, k));
        let store = Store { out: MatMut::new(&mut self.plain, m, n), scale: 1.0 };
        if parallel {
            self.panels.pack(right);
            matmul(left, self.panels.view(), store);
        } else {
            self.panels.pack_serial(right);
            matmul_serial(left, self.panels.view(), store);
        }
    }

    fn emulated(
        &mut self,
        arithmetic: &Arithmetic,
        mode: Mode,
        [m, k, n]: [usize; 3],
        parallel: bool,
    ) {
        let (a, b) = (Operand::new(&self.half[0], m, k), Operand::new(&self.half[1], k, n));
        if parallel {
            product(arithmetic, mode, a, b, Bias::None, &mut self.out);
        } else {
            product_serial(arithmetic, mode, a, b, Bias::None, &mut self.out);
        }
    }
}

fn main() -> Result<(), aneal_ane::Error> {
    let mut seed = 1;
    println!(
        "{} threads, GFLOP/s and parts of the plain f32 product",
        rayon::current_num_threads()
    );
    for shape in &SHAPES {
        let dims = shape.dims;
        let mut pairs: Vec<Pair> = (0..shape.count).map(|_| Pair::new(shape, &mut seed)).collect();
        let flops = 2.0 * (shape.count * dims.iter().product::<usize>()) as f64;
        println!("\n{} x {:?}, {}", shape.count, dims, shape.what);
        for name in ["m1", "m3-ultra", "m4", "strict"] {
            let arithmetic = Profile::named(name)?.arithmetic;
            let mut times = [const { Vec::new() }; 3];
            for round in 0..=ROUNDS {
                let mut run = |f: &(dyn Fn(&mut Pair, bool) + Sync)| {
                    time(|| match pairs.as_mut_slice() {
                        [pair] => f(pair, true),
                        pairs => pairs.par_iter_mut().for_each(|pair| f(pair, false)),
                    })
                };
                let found = [
                    run(&|pair, parallel| pair.plain(dims, parallel)),
                    run(&|pair, parallel| pair.emulated(&arithmetic, Mode::Fast, dims, parallel)),
                    run(&|pair, parallel| pair.emulated(&arithmetic, Mode::Exact, dims, parallel)),
                ];
                if round > 0 {
                    times.iter_mut().zip(found).for_each(|(times, found)| times.push(found));
                }
            }
            let [plain, fast, exact] = times.map(median);
            println!(
                "  {name:9} plain {:6.1}   fast {:6.1} ({:.2})   exact {:6.1} ({:.3})",
                flops / plain / 1e9,
                flops / fast / 1e9,
                plain / fast,
                flops / exact / 1e9,
                plain / exact,
            );
        }
    }
    Ok(())
}
