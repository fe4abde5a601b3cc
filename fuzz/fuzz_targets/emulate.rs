//! The emulated engine on any program and any surface: it never panics, and the same request gives
//! the same bits again.
//!
//! The first byte chooses the device, the second whether its rules are in force, the arithmetic, and
//! how the program is made: from the rest as text, or by drawing operations, their operands and
//! settings from it, most of which are valid. What is left fills the surfaces.

#![no_main]

use std::sync::LazyLock;

use aneal_ane::Profile;
use aneal_ane::clock::Work;
use aneal_ane::emulator::{Emulator, Mode};
use aneal_ane::engine::{Binding, Engine, Request, Source, Surface, Symbol};
use aneal_mil::blob::Weights;
use aneal_mil::{Builder, Conv, DType, Dialect, MatMul, Opset, Pool, Program, Result, Type, Value, text};
use libfuzzer_sys::fuzz_target;

/// Most elements of all values of a program, and most arithmetic of its products: a run stays short.
const MOST_ELEMENTS: usize = 1 << 20;
const MOST_FLOPS: f64 = 1e8;

/// Every profile as it is, and with no rule in force.
static PROFILES: LazyLock<Vec<[Profile; 2]>> = LazyLock::new(|| {
    let folder = std::env::temp_dir();
    let all = Profile::all().expect("built-in profiles are whole");
    let free = |profile: &Profile| {
        let name = &profile.name;
        let path = folder.join(format!("aneal-fuzz-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, format!("base = \"{name}\"\nrules = []\n")).expect("a file to write");
        let free = Profile::from_file(&path).expect("a profile without rules");
        let _ = std::fs::remove_file(path);
        free
    };
    all.into_iter().map(|profile| [profile.clone(), free(&profile)]).collect()
});

/// Bytes that decide, one after another; 0 when there are none left.
struct Draw<'a>(&'a [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// From 0 up to `most`.
    fn upto(&mut self, most: usize) -> usize {
        usize::from(self.byte()) % (most + 1)
    }

    fn signed(&mut self) -> i64 {
        i64::from(self.byte() as i8)
    }

    /// A float: small numbers, and now and then one with any bits.
    fn float(&mut self) -> f32 {
        match self.byte() {
            0 => f32::from_bits(u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])),
            b => f32::from(b as i8) / 16.0,
        }
    }

    fn pick(&mut self, values: &[Value]) -> Value {
        values[self.upto(values.len() - 1)]
    }
}

/// Dimensions `[N, C, H, W]` that are small.
fn dims(d: &mut Draw<'_>) -> [usize; 4] {
    [1 + d.upto(1), 1 + d.upto(70), 1 + d.upto(2), 1 + d.upto(70)]
}

/// One more value, from those that there are. Misfits are refused by the builder.
fn grow(b: &mut Builder, d: &mut Draw<'_>, values: &[Value]) -> Result<Value> {
    let x = d.pick(values);
    let shape = x.shape();
    let axis = d.signed() % 5;
    match d.byte() % 34 {
        0 => b.add(x, d.pick(values)),
        1 => b.sub(x, d.pick(values)),
        2 => b.mul(x, d.pick(values)),
        3 => b.real_div(x, d.pick(values)),
        4 => b.maximum(x, d.pick(values)),
        5 => b.pow(x, d.pick(values)),
        6 => b.mul(x, d.float()),
        7 => b.pow(x, d.float()),
        8 => b.sub(d.float(), x),
        9 => b.sigmoid(x),
        10 => b.exp(x),
        11 => b.silu(x),
        12 => b.rsqrt(x, d.float()),
        13 => b.clip(x, d.float(), d.float()),
        14 => b.softplus(x),
        15 => b.square(x),
        16 => b.reduce_sum(x, &[axis]),
        17 => b.reduce_max(x, &[axis, d.signed() % 5]),
        18 => b.reduce_mean(x, &[axis]),
        19 => b.softmax(x, axis as i32),
        20 => b.transpose(x, &[d.signed() % 4, d.signed() % 4, d.signed() % 4, d.signed() % 4]),
        21 => {
            let n = shape.elements() as i64;
            let first = 1 + d.upto(70) as i64;
            b.reshape(x, &[1, first, 1, n / first])
        }
        22 => {
            let begin: Vec<i64> = shape.iter().map(|dim| d.upto(dim - 1) as i64).collect();
            let size: Vec<i64> = shape.iter().map(|_| 1 + d.upto(69) as i64).collect();
            b.slice_by_size(x, &begin, &size)
        }
        23 => b.concat(&[x, d.pick(values)], axis as i32, d.byte() & 1 == 1),
        24..=27 => {
            let flags = d.byte();
            let options = MatMul { transpose_x: flags & 1 == 1, transpose_y: flags & 2 == 2 };
            b.matmul(x, d.pick(values), options)
        }
        28 => {
            let (outputs, channels, size) = (1 + d.upto(40), shape.dim(1), 1 + d.upto(1));
            let ty = Type::fp16(&[outputs, channels, 1, size])?;
            let weights: Vec<f32> = (0..ty.shape.elements()).map(|_| d.float()).collect();
            let weight = b.floats(ty, &weights)?;
            b.conv(x, weight, Conv::default())
        }
        29 => b.conv(x, d.pick(values), Conv::default()),
        30 => b.reverse(x, &[axis]),
        31 => {
            let condition = b.greater(x, d.float())?;
            b.select(condition, x, d.pick(values))
        }
        32 => {
            let wide = b.cast(x, DType::Fp32)?;
            let root = b.sqrt(wide)?;
            b.cast(root, DType::Fp16)
        }
        _ => b.max_pool(x, Pool { kernel: &[1, 2], strides: &[1, 1], ..Pool::default() }),
    }
}

/// A program drawn from bytes, if it comes to one.
fn drawn(d: &mut Draw<'_>) -> Option<Program> {
    let mut b = Builder::new("main", Opset::Ios18);
    let mut values = Vec::new();
    for at in 0..=d.upto(2) {
        let dtype = if d.byte() == 1 { DType::Fp32 } else { DType::Fp16 };
        let shape = aneal_mil::Shape::new(&dims(d)).ok()?;
        let x = b.input(&format!("x{at}"), Type::new(dtype, shape)).ok()?;
        values.push(if dtype == DType::Fp32 { b.cast(x, DType::Fp16).ok()? } else { x });
    }
    let mut elements = 0;
    for _ in 0..=d.upto(11) {
        if let Ok(value) = grow(&mut b, d, &values) {
            elements += value.shape().elements();
            if elements > MOST_ELEMENTS {
                return None;
            }
            values.push(value);
        }
    }
    for at in 0..=d.upto(1) {
        let value = d.pick(&values);
        b.output(&format!("y{at}"), value).ok()?;
    }
    Some(Program::new(vec![b.finish().ok()?]))
}

fuzz_target!(|bytes: &[u8]| {
    let mut d = Draw(bytes);
    let (device, flags) = (d.upto(8), d.byte());
    let profile = PROFILES[device][usize::from(flags & 1)].clone();
    let mode = if flags & 2 == 2 { Mode::Exact } else { Mode::Fast };
    let source = if flags & 4 == 4 {
        Source { text: String::from_utf8_lossy(d.0).into_owned(), ..Source::default() }
    } else {
        let Some(program) = drawn(&mut d) else { return };
        Source::new(&program, Dialect::Modern, &Weights::new())
    };
    if let Ok(program) = text::parse(&source.text) {
        let values = program.functions.iter().flat_map(|function| &function.values);
        let literals = program.functions.iter().flat_map(|f| &f.operations).flat_map(|op| op.literals());
        let elements = values.map(|value| value.ty.shape.elements());
        let elements = elements.chain(literals.map(|literal| literal.ty().shape.elements()));
        let flops: f64 = program.functions.iter().map(|function| Work::of(function).flops()).sum();
        if elements.sum::<usize>() > MOST_ELEMENTS || flops > MOST_FLOPS {
            return;
        }
    }
    let engine = Emulator::new(profile, mode);
    let Ok(kernel) = engine.compile(&source) else { return };
    for (at, procedure) in kernel.procedures().iter().enumerate() {
        let wrong = d.byte();
        let surfaces = |symbols: &[Symbol]| -> Vec<Surface> {
            // Now and then one that is too small.
            let bytes = |s: &Symbol| s.layout.bytes() - usize::from(wrong == 7 && s.layout.bytes() > 1);
            symbols.iter().filter_map(|symbol| engine.surface(bytes(symbol)).ok()).collect()
        };
        let (inputs, outputs) = (surfaces(&procedure.inputs), surfaces(&procedure.outputs));
        for surface in &inputs {
            let mut memory = surface.write().expect("nobody holds a lock");
            let mut state = u32::from(d.byte()) + 1;
            for (at, byte) in memory.iter_mut().enumerate() {
                // Bytes of the input as long as there are any, then numbers of every size.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = if d.0.is_empty() { (state >> 24) as u8 } else { d.byte() };
                if at % 2 == 1 && wrong & 8 == 0 {
                    *byte &= 0xBF; // below 2, as most values of a program are
                }
            }
        }
        let mut request = Request::new(procedure, &inputs, &outputs).of(at as u32);
        if wrong == 9 {
            let surface = inputs[0].clone();
            request.outputs.push(Binding { symbol: u32::from(d.byte()), surface });
        }
        let read = |surfaces: &[Surface]| -> Vec<Vec<u8>> {
            surfaces.iter().map(|surface| surface.read().expect("nobody holds a lock").to_vec()).collect()
        };
        if kernel.evaluate(&request).is_ok() {
            let first = read(&outputs);
            match kernel.evaluate(&request) {
                Ok(()) => assert_eq!(first, read(&outputs), "the same request gave other bits"),
                // Some devices run nothing behind `tile`.
                Err(error) => {
                    let reasons = error.failure().map_or(&[][..], |failure| &failure.reasons);
                    assert!(reasons.iter().any(|r| r.constraint == "C42"), "does not run again: {error}");
                }
            }
        }
    }
});
