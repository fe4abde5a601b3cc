//! How fast the emulator runs: products in both arithmetics in turns with a plain f32 product of the
//! same shape, and how far the fast ones are from the exact ones; and the operations around them, which
//! are the same in both. Each is a program on an emulated engine, surfaces and
//! all; medians of many runs.
//!
//! `cargo run --release -p aneal-ane --example emulator_speed`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use aneal_ane::emulator::{Emulator, Mode};
use aneal_ane::engine::{Engine, Kernel, Request, Source, Surface};
use aneal_ane::trial::Difference;
use aneal_ane::{Profile, Result};
use aneal_kernels::matmul::{Kernel as MatMulKernel, Left, Panels, Store, matmul};
use aneal_kernels::{Mat, MatMut};
use aneal_mil::blob::Weights;
use aneal_mil::eval::Tensor;
use aneal_mil::{Builder, Dialect, Function, MatMul, Opset, Program, Type, Value};
use half::f16;

const ROUNDS: usize = 15;

/// A name, matrices `[groups, M, K] x [groups, K, N]`, and the sizes of their elements.
type Product = (&'static str, [usize; 4], [f32; 2]);

const PRODUCTS: [Product; 5] = [
    ("activations, weights", [1, 256, 512, 1024], [1.0, 0.05]),
    ("narrowing", [1, 1024, 256, 512], [1.0, 0.05]),
    ("heads", [8, 256, 64, 256], [1.0, 1.0]),
    ("gradients, weights", [1, 256, 512, 1024], [0.001, 0.05]),
    ("partial sums past the limit", [1, 256, 512, 1024], [40.0, 40.0]),
];

/// A name, dimensions of the input, and the operation.
type Other = (&'static str, [usize; 4], fn(&mut Builder, Value) -> aneal_mil::Result<Value>);

const OTHERS: [Other; 6] = [
    ("transposed copy", [1, 1, 1024, 1024], |b, x| b.transpose(x, &[0, 1, 3, 2])),
    ("sigmoid", [1, 1024, 1, 1024], |b, x| b.sigmoid(x)),
    ("add", [1, 1024, 1, 1024], |b, x| b.add(x, x)),
    ("softmax", [1, 8, 256, 256], |b, x| b.softmax(x, -1)),
    ("reduce_sum of rows", [1, 8, 256, 256], |b, x| b.reduce_sum(x, &[-1])),
    ("slice and join", [1, 512, 1, 1024], |b, x| {
        let right = b.slice_by_size(x, &[0, 0, 0, 512], &[1, 512, 1, 512])?;
        let left = b.slice_by_size(x, &[0, 0, 0, 0], &[1, 512, 1, 512])?;
        b.concat(&[right, left], 1, false)
    }),
];

/// A loaded program with its surfaces.
struct Session {
    kernel: std::sync::Arc<dyn Kernel>,
    request: Request,
}

impl Session {
    fn new(profile: &str, mode: Mode, function: Function, sizes: &[f32]) -> Result<Self> {
        let engine = Emulator::new(Profile::named(profile)?, mode);
        let program = Program::new(vec![function]);
        let kernel = engine.compile(&Source::new(&program, Dialect::Modern, &Weights::new()))?;
        let procedure = &kernel.procedures()[0];
        let mut seed = 1;
        let mut inputs: Vec<Surface> = Vec::new();
        for (symbol, size) in procedure.inputs.iter().zip(sizes) {
            let surface = engine.surface(symbol.layout.bytes())?;
            let elements = symbol.layout.ty.shape.elements();
            let values: Vec<f16> = values(&mut seed, elements, *size).map(f16::from_f32).collect();
            surface.write_halves(&symbol.layout, &values)?;
            inputs.push(surface);
        }
        let outputs = procedure.outputs.iter().map(|s| engine.surface(s.layout.bytes()));
        let request = Request::new(procedure, &inputs, &outputs.collect::<Result<Vec<_>>>()?);
        Ok(Self { kernel, request })
    }

    /// The output's elements.
    fn output(&self) -> Result<Vec<f64>> {
        let layout = self.kernel.procedures()[0].outputs[0].layout;
        let mut out = vec![f16::ZERO; layout.ty.shape.elements()];
        self.request.outputs[0].surface.read_halves(&layout, &mut out)?;
        Ok(out.into_iter().map(f16::to_f64).collect())
    }

    /// Seconds of a run.
    fn time(&self) -> Result<f64> {
        let start = Instant::now();
        self.kernel.evaluate(&self.request)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// About normal: sums of four uniform values.
fn values(seed: &mut u64, count: usize, size: f32) -> impl Iterator<Item = f32> {
    let mut uniform = move || {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..count).map(move |_| (0..4).map(|_| uniform()).sum::<f32>() * size * 0.866)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn product([groups, m, k, n]: [usize; 4]) -> aneal_mil::Result<Function> {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&[1, groups, m, k])?)?;
    let y = b.input("y", Type::fp16(&[1, groups, k, n])?)?;
    let z = b.matmul(x, y, MatMul::default())?;
    b.output("z", z)?;
    b.finish()
}

fn other(
    dims: [usize; 4],
    build: fn(&mut Builder, Value) -> aneal_mil::Result<Value>,
) -> aneal_mil::Result<Function> {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&dims)?)?;
    let y = build(&mut b, x)?;
    b.output("y", y)?;
    b.finish()
}

/// Seconds of the plain f32 product, packing included.
fn plain(
    [groups, m, k, n]: [usize; 4],
    operands: &[Vec<f32>; 2],
    out: &mut [f32],
    panels: &mut Panels<f32>,
) -> f64 {
    let start = Instant::now();
    for group in 0..groups {
        let x = Mat::new(&operands[0][group * m * k..][..m * k], m, k);
        panels.pack(Mat::new(&operands[1][group * k * n..][..k * n], k, n));
        let store = Store { out: MatMut::new(out, m, n), scale: 1.0 };
        matmul(Left::rows(x), panels.view(), store);
    }
    start.elapsed().as_secs_f64()
}

fn main() -> Result<()> {
    println!("products: GFLOP/s, and as part of the plain f32 product in the same turns");
    for (what, dims, sizes) in PRODUCTS {
        let [groups, m, k, n] = dims;
        let flops = 2.0 * (groups * m * k * n) as f64;
        println!("{groups} x [{m}, {k}] x [{k}, {n}], {what}");
        let mut seed = 1;
        let operands = [(groups * m * k, sizes[0]), (groups * k * n, sizes[1])]
            .map(|(count, size)| values(&mut seed, count, size).collect::<Vec<f32>>());
        let (mut out, mut panels) = (vec![0.0; m * n], Panels::new(MatMulKernel::best()));
        for profile in ["m1", "m3-ultra", "m4", "strict"] {
            let session = |mode| Session::new(profile, mode, product(dims)?, &sizes);
            let (exact, fast) = (session(Mode::Exact)?, session(Mode::Fast)?);
            let mut times = [const { Vec::new() }; 3];
            for round in 0..=ROUNDS {
                let found =
                    [plain(dims, &operands, &mut out, &mut panels), fast.time()?, exact.time()?];
                if round > 0 {
                    times.iter_mut().zip(found).for_each(|(times, found)| times.push(found));
                }
            }
            let ty = exact.kernel.procedures()[0].outputs[0].layout.ty;
            let [near, right] = [&fast, &exact]
                .map(|session| Ok::<_, aneal_ane::Error>(Tensor { ty, values: session.output()? }));
            let off = Difference::between(&near?, &right?);
            let [plain, fast, exact] = times.map(median);
            println!(
                "  {profile:9} plain {:6.1}   fast {:6.1} ({:.2})   exact {:6.1} ({:.2})   \
                 fast from exact: {:.1e} of its root mean square, at most {:.1e} of its largest",
                flops / plain / 1e9,
                flops / fast / 1e9,
                plain / fast,
                flops / exact / 1e9,
                plain / exact,
                off.relative_rms,
                off.worst / off.largest,
            );
        }
    }
    println!("\nothers on m4: 10^9 elements of the input a second");
    for (what, dims, build) in OTHERS {
        let session = Session::new("m4", Mode::Exact, other(dims, build)?, &[1.0])?;
        session.time()?;
        let times = (0..ROUNDS).map(|_| session.time()).collect::<Result<Vec<_>>>()?;
        let elements: usize = dims.iter().product();
        println!("  {what:20} {dims:?} {:.2}", elements as f64 / median(times) / 1e9);
    }
    Ok(())
}
