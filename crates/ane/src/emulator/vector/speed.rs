//! How fast these operations are on this machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aneal_mil::Shape;
use aneal_mil::eval::{Binary, Compare, Reduce, Unary};
use half::f16;

use super::super::layout::{Layout, View};
use super::{Function, Table, binary, compare, concat, copy, reduce, round, select, softmax};
use crate::Arithmetic;
use crate::arithmetic::Fold;

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// The operation and its shape.
    pub operation: &'static str,
    /// Elements a second that it reads, in 10^9; of two operands, elements of the result.
    pub giga_elements_per_s: f64,
}

/// Measures each operation for about `time` and takes the median of its runs.
#[must_use]
pub fn speeds(arithmetic: &Arithmetic, time: Duration) -> Vec<Speed> {
    // Among the threads that share the work: to wake them would be measured too.
    rayon::scope(|_| measured(arithmetic, time))
}

fn measured(arithmetic: &Arithmetic, time: Duration) -> Vec<Speed> {
    const N: usize = 1 << 20;
    let x: Vec<f16> = (0..N).map(|i| f16::from_f32((i as f32 * 0.37).sin() * 4.0)).collect();
    let view = |dims: &[usize]| {
        let layout = Shape::new(dims).ok().and_then(|shape| Layout::dense(&shape, 0));
        layout.map(|layout| View { data: &x, layout })
    };
    let (Some(flat), Some(wide), Some(matrix), Some(channels), Some(heads), Some(row)) = (
        view(&[N]),
        view(&[1024, 1024]),
        view(&[512, 1024]),
        view(&[512, 256]),
        view(&[8, 256, 256]),
        Shape::new(&[1024, 1024]).ok().and_then(|shape| view(&[1024])?.layout.broadcast(&shape)),
    ) else {
        return Vec::new();
    };
    let turned = View { layout: matrix.layout.permuted(&[1, 0]), ..matrix };
    let row = View { data: &x, layout: row };
    let half = View { layout: wide.layout.sliced(1, 256, 1, 512), ..wide };
    let singles: Vec<f32> = x.iter().map(|x| x.to_f32() * 1.001).collect();
    let table = Table::shared(arithmetic, Function::Of(Unary::Exp, 0.0, 0.0));
    let [narrow, broad] =
        [Fold::Half, Fold::F32].map(|reduce_sum| Arithmetic { reduce_sum, ..arithmetic.clone() });
    let mut out = vec![f16::ZERO; N];
    let mut speeds = Vec::new();
    let mut measure = |operation, elements: usize, run: &mut dyn FnMut(&mut [f16])| {
        let (start, mut runs) = (Instant::now(), Vec::new());
        while runs.is_empty() || start.elapsed() < time {
            let start = Instant::now();
            run(&mut out);
            black_box(&mut out);
            runs.push(start.elapsed().as_secs_f64());
        }
        runs.sort_by(f64::total_cmp);
        let giga_elements_per_s = elements as f64 / runs[runs.len() / 2] * 1e-9;
        speeds.push(Speed { operation, giga_elements_per_s });
    };
    measure("copy [512, 1024] transposed", N / 2, &mut |out| copy(turned, &mut out[..N / 2]));
    measure("exp [1048576] by table", N, &mut |out| table.apply(flat, out));
    measure("making a table of [65536]", 1 << 16, &mut |out| {
        out[0] = Table::new(arithmetic, Function::Of(Unary::Exp, 0.0, 0.0)).at(f16::ONE);
    });
    measure("add [1048576]", N, &mut |out| binary(arithmetic, Binary::Add, flat, flat, out));
    measure("mul [1024, 1024] with [1024]", N, &mut |out| {
        binary(arithmetic, Binary::Mul, wide, row, out);
    });
    measure("reduce_sum [512, 256] over 512, in fp16", N / 8, &mut |out| {
        reduce(&narrow, Reduce::Sum, channels, &[0], &mut out[..256]);
    });
    measure("reduce_sum [512, 256] over 512, in f32", N / 8, &mut |out| {
        reduce(&broad, Reduce::Sum, channels, &[0], &mut out[..256]);
    });
    measure("reduce_sum [1024, 1024] over the last, in fp16", N, &mut |out| {
        reduce(&narrow, Reduce::Sum, wide, &[1], &mut out[..1024]);
    });
    measure("softmax [8, 256, 256]", N / 2, &mut |out| {
        softmax(arithmetic, None, heads, 2, &mut out[..N / 2]);
    });
    measure("concat of two [1024, 512] along the last", N, &mut |out| {
        concat(&[half, half], 1, false, out);
    });
    measure("concat of two [1024, 512] along the last, interleaved", N, &mut |out| {
        concat(&[half, half], 1, true, out);
    });
    measure("greater [1048576]", N, &mut |out| {
        compare(arithmetic, Compare::Greater, flat, flat, out);
    });
    measure("select [1048576]", N, &mut |out| select(flat, flat, flat, out));
    measure("rounding of [1048576] f32", N, &mut |out| round(arithmetic, &singles, out));
    speeds
}
