//! How requests are taken, refused and answered: order of symbols, sizes, rows, names, budgets,
//! reloading, faults.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aneal_ane::Profile;
use aneal_ane::emulator::{Call, Effect, Emulator, Fault, Mode};
use aneal_ane::engine::{Binding, Engine, Failure, Request, Source, Stage};
use aneal_mil::{Builder, Dialect, Function, Opset, Program, Type};
use half::f16;

use crate::pieces::{PIECES, WORKED_EXAMPLE, function};
use crate::session::{Session, engine, halves, source};

/// `outputs` copies of the negated input.
fn negated(outputs: &[&str], width: usize) -> Function {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input_named("in0", Type::fp16(&[1, 4, 1, width]).unwrap()).unwrap();
    for (at, name) in outputs.iter().enumerate() {
        let y = b.mul(x, -1.0 - at as f32).unwrap();
        b.output_named(name, y).unwrap();
    }
    b.finish().unwrap()
}

/// x - 2 y.
fn difference(first: &str, second: &str) -> Function {
    let mut b = Builder::new("main", Opset::Ios18);
    let ty = Type::fp16(&[1, 2, 1, 32]).unwrap();
    let (x, y) = (b.input_named(first, ty).unwrap(), b.input_named(second, ty).unwrap());
    let twice = b.mul(y, 2.0).unwrap();
    let z = b.sub(x, twice).unwrap();
    b.output("z", z).unwrap();
    b.finish().unwrap()
}

fn failure(result: aneal_ane::Result<()>) -> Failure {
    result.unwrap_err().failure().unwrap().clone()
}

#[test]
fn values_are_bound_in_the_order_of_their_names() {
    // Written as q, a; bound as a, q (C24).
    let session = Session::new(&engine("m3-ultra"), &source(difference("q", "a"))).unwrap();
    let procedure = &session.kernel.procedures()[0];
    let names: Vec<_> = procedure.inputs.iter().map(|s| (s.name.as_str(), s.index)).collect();
    assert_eq!(names, [("a", 0), ("q", 1)]);
    session.inputs[0].write_halves(&procedure.inputs[0].layout, &halves(&[1.0; 64])).unwrap();
    session.inputs[1].write_halves(&procedure.inputs[1].layout, &halves(&[5.0; 64])).unwrap();
    session.kernel.evaluate(&session.request()).unwrap();
    let mut out = halves(&[0.0; 64]);
    session.outputs[0].read_halves(&procedure.outputs[0].layout, &mut out).unwrap();
    assert_eq!(out[0].to_f32(), 3.0);

    // `y2@output` comes before `y@output`.
    let session = Session::new(&engine("m3-ultra"), &source(negated(&["y", "y2"], 32))).unwrap();
    let names: Vec<_> =
        session.kernel.procedures()[0].outputs.iter().map(|s| s.name.clone()).collect();
    assert_eq!(names, ["y2", "y"]);
}

#[test]
fn sizes_are_those_of_the_worked_example() {
    let engine = engine("m4");
    let source = Source { text: WORKED_EXAMPLE.to_owned(), ..Source::default() };
    let session = Session::new(&engine, &source).unwrap();
    let sizes: Vec<_> = session.inputs.iter().chain(&session.outputs).map(|s| s.bytes()).collect();
    assert_eq!(sizes, [4_096, 12_288, 6_144]);

    // One byte less is 0x1d (C21), and so are surfaces swapped (2.4(7)).
    let mut request = session.request();
    request.outputs[0].surface = engine.surface(6_143).unwrap();
    let found = failure(session.kernel.evaluate(&request));
    assert!(found.text.contains("status=0x1d : statusType=0x9"), "{found}");
    assert_eq!((found.domain, found.code, found.stage), (Failure::RUNTIME, 8, Stage::Evaluate));
    assert_eq!(found.reasons[0].constraint, "C21");
    let mut request = session.request();
    request.inputs.swap(0, 1);
    let surfaces: Vec<_> = request.inputs.iter().map(|b| b.surface.clone()).collect();
    request.inputs =
        (0..2).map(|s| Binding { symbol: s, surface: surfaces[s as usize].clone() }).collect();
    assert!(failure(session.kernel.evaluate(&request)).text.contains("0x1d"));
}

#[test]
fn narrow_rows_are_read_at_their_stride() {
    // M3 Ultra computes widths of 17 and 65 right with padded rows (2.2).
    for width in [1, 17, 31, 33, 48, 63, 65] {
        let session = Session::new(&engine("m3-ultra"), &source(negated(&["y"], width))).unwrap();
        let layout = session.kernel.procedures()[0].inputs[0].layout;
        let values: Vec<f32> = (0..4 * width).map(|at| at as f32).collect();
        let inputs = BTreeMap::from([("in0".to_owned(), halves(&values))]);
        let found = session.run(&inputs).unwrap();
        let want: Vec<f16> = values.iter().map(|v| f16::from_f32(-v)).collect();
        assert_eq!(found["y"], want, "width {width}");
        // A client that packs rows tightly gets what the strides say (C23).
        if !layout.is_dense() {
            let mut bytes = session.inputs[0].write().unwrap();
            bytes.fill(0);
            bytes[..8 * width].copy_from_slice(bytemuck::cast_slice(&halves(&values)));
            drop(bytes);
            session.kernel.evaluate(&session.request()).unwrap();
            let mut out = halves(&vec![0.0; 4 * width]);
            session.outputs[0].read_halves(&layout, &mut out).unwrap();
            let second = layout.row_bytes / 2;
            let want = values.get(second).map_or(0.0, |v| -v);
            assert_eq!(out[width].to_f32(), want, "width {width}");
        }
    }
}

/// What makes a request faulty.
type Break = fn(&mut Request);

#[test]
fn requests_are_looked_at_before_they_run() {
    let engine = engine("m4");
    let session = Session::new(&engine, &source(difference("a", "b"))).unwrap();
    let valid = session.request();
    let surface = engine.surface(128).unwrap();
    let broken: [(&str, Break); 7] = [
        ("0 inputs", |r| r.inputs.clear()),
        ("0 outputs", |r| r.outputs.clear()),
        ("input symbol 7", |r| r.inputs[0].symbol = 7),
        ("input symbol 0 twice", |r| r.inputs[1].symbol = 0),
        ("procedure 129", |r| r.procedure = 129),
        ("256 inputs", |r| r.inputs = vec![r.inputs[0].clone(); 256]),
        ("131 surfaces", |r| r.outputs = vec![r.outputs[0].clone(); 129]),
    ];
    for (found, breaks) in broken {
        let mut request = valid.clone();
        breaks(&mut request);
        let failure = failure(session.kernel.evaluate(&request));
        assert_eq!((failure.code, failure.stage), (26, Stage::Request), "{found}: {failure}");
        assert!(failure.reasons[0].found.contains(found), "{found}: {failure}");
    }
    // Indices up to 128 are nothing to a program with one procedure, nor is a weights buffer (C35).
    let mut request = valid.of(15);
    request.weights_buffer = Some(surface);
    session.kernel.evaluate(&request).unwrap();
}

#[test]
fn clients_that_hold_a_lock_get_an_answer() {
    let session = Session::new(&engine("m4"), &source(difference("a", "b"))).unwrap();
    let guard = session.inputs[0].write().unwrap();
    let found = failure(session.kernel.evaluate(&session.request()));
    assert_eq!(found.reasons[0].constraint, "2.3");
    drop(guard);
    session.kernel.evaluate(&session.request()).unwrap();
}

#[test]
fn a_surface_may_be_input_and_output() {
    // Weights that are updated in place (C102): w - 2 g, twice.
    let session = Session::new(&engine("m4"), &source(difference("w_old", "z_gradient"))).unwrap();
    let layout = session.kernel.procedures()[0].inputs[0].layout;
    let mut request = session.request();
    let g = request.inputs.iter().position(|b| b.symbol == 1).unwrap();
    request.inputs[g].surface.write_halves(&layout, &halves(&[0.5; 64])).unwrap();
    request.outputs[0].surface = session.inputs[0].clone();
    session.inputs[0].write_halves(&layout, &halves(&[8.0; 64])).unwrap();
    for want in [7.0, 6.0] {
        session.kernel.evaluate(&request).unwrap();
        let mut out = halves(&[0.0; 64]);
        session.inputs[0].read_halves(&layout, &mut out).unwrap();
        assert!(out.iter().all(|v| v.to_f32() == want), "{want}");
    }
}

#[test]
fn procedures_have_indices_of_their_own() {
    let mut second = negated(&["y"], 32);
    second.name = "second".to_owned();
    let program = Program::new(vec![difference("a", "b"), second]);
    let source = Source::new(&program, Dialect::Modern, &aneal_mil::blob::Weights::new());
    let engine = engine("m4");
    let kernel = engine.compile(&source).unwrap();
    let [first, second] = kernel.procedures() else { panic!("two procedures") };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("main", "second"));
    let (x, y) = (engine.surface(256).unwrap(), engine.surface(256).unwrap());
    x.write_halves(&second.inputs[0].layout, &halves(&[3.0; 128])).unwrap();
    let (inputs, outputs) = (std::slice::from_ref(&x), std::slice::from_ref(&y));
    kernel.evaluate(&Request::new(second, inputs, outputs).of(1)).unwrap();
    let mut out = halves(&[0.0; 128]);
    y.read_halves(&second.outputs[0].layout, &mut out).unwrap();
    assert_eq!(out[5].to_f32(), -3.0);
    // Guessing that indices start at 0 fails.
    let mut guessed = Request::new(second, inputs, outputs).of(1);
    guessed.inputs[0].symbol = 0;
    assert_eq!(failure(kernel.evaluate(&guessed)).code, 26);
    assert_eq!(failure(kernel.evaluate(&Request::new(second, inputs, outputs).of(2))).code, 26);
}

#[test]
fn only_so_many_programs_are_loaded_at_once() {
    let engine = engine("m4");
    let source = source(difference("a", "b"));
    let mut kernels: Vec<_> = (0..127).map(|_| engine.compile(&source).unwrap()).collect();
    let error = engine.compile(&source).err().unwrap();
    let found = error.failure().unwrap();
    assert_eq!((found.stage, found.code), (Stage::Load, Failure::PROGRAM_LOAD));
    assert!(found.text.contains("0x50004") && found.reasons[0].constraint == "C1", "{found}");
    kernels.pop();
    kernels.push(engine.compile(&source).unwrap());
    assert_eq!(engine.statistics().compiles, 1, "the cache has it after the first time");
}

/// A weight file of 32 by 32 with that value everywhere.
fn classifier(value: f32) -> Source {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&[1, 32, 1, 32]).unwrap()).unwrap();
    let w = b.floats(Type::fp16(&[32, 32, 1, 1]).unwrap(), &[value; 1024]).unwrap();
    let y = b.conv(x, w, aneal_mil::Conv::default()).unwrap();
    b.output("y", y).unwrap();
    source(b.finish().unwrap())
}

#[test]
fn weights_are_those_of_the_first_compilation_under_a_name() {
    let engine = engine("m4");
    let (old, new) = (classifier(1.0), classifier(2.0));
    assert_eq!(old.text, new.text);
    assert_ne!(old.identifier(), new.identifier(), "other weights, another name");
    let run = |kernel: &dyn aneal_ane::Kernel| {
        let procedure = &kernel.procedures()[0];
        let (x, y) = (engine.surface(2_048).unwrap(), engine.surface(2_048).unwrap());
        x.write_halves(&procedure.inputs[0].layout, &halves(&[1.0; 1024])).unwrap();
        kernel.evaluate(&Request::new(procedure, &[x], std::slice::from_ref(&y))).unwrap();
        let mut out = halves(&[0.0; 1024]);
        y.read_halves(&procedure.outputs[0].layout, &mut out).unwrap();
        out[0].to_f32()
    };
    let mut model = engine.model(&old);
    assert!(model.compile().is_err(), "weight files must be in the folder before (1.4(4))");
    model.stage_weights();
    model.write("model.mil", old.text.as_bytes());
    model.compile().unwrap();
    let files: Vec<_> = model.folder().keys().map(String::as_str).collect();
    assert_eq!(files, ["data", "model.mil", "net.plist", "weights/w.bin"]);
    assert_eq!(model.folder()["data"], model.folder()["weights/w.bin"], "the framework's own copy");
    assert_eq!(run(&model.load().unwrap()), 32.0);
    // Overwritten, unloaded and loaded again: nothing changes (1.16).
    let bytes = new.weights.values().next().unwrap().clone();
    model.write("weights/w.bin", bytes);
    model.compile().unwrap();
    assert_eq!(run(&model.load().unwrap()), 32.0, "stale");
    // A new name, loaded without compiling first, is fresh.
    let mut fresh = engine.model(&new);
    fresh.stage_weights();
    assert!(!fresh.compiled_exists());
    assert_eq!(run(&fresh.load().unwrap()), 64.0);
    assert!(fresh.compiled_exists());
    fresh.purge();
    assert!(!fresh.compiled_exists());
}

#[test]
fn programs_that_are_none_are_refused_as_the_compiler_does() {
    let engine = engine("strict");
    let undeclared = WORKED_EXAMPLE.replace("y = a4)", "y = a5)");
    let unknown = WORKED_EXAMPLE.replace("mm = matmul", "mm = matmull");
    let mistyped = WORKED_EXAMPLE.replace("[1, 1, 96, 32]> mm", "[1, 1, 32, 96]> mm");
    for text in ["", "program(1.3)", &undeclared, &unknown, &mistyped] {
        let error =
            engine.compile(&Source { text: text.to_owned(), ..Source::default() }).err().unwrap();
        let found = error.failure().unwrap();
        assert_eq!((found.stage, found.code, found.domain), (Stage::Compile, 1, Failure::COMPILER));
        assert_eq!(found.text, "_ANECompiler : ANECCompile() FAILED");
        assert_eq!(found.underlying.as_deref(), Some("InvalidMILProgram"));
    }
    // A rule of the profile: its number, the place, and the way round.
    let gelu = {
        let mut b = Builder::new("main", Opset::Ios18);
        let x = b.input("x", Type::fp16(&[1, 32, 1, 32]).unwrap()).unwrap();
        let i = b.reduce_argmax(x, 1).unwrap();
        let y = b.cast(i, aneal_mil::DType::Fp16).unwrap();
        b.output("y", y).unwrap();
        source(b.finish().unwrap())
    };
    let error = engine.compile(&gelu).err().unwrap();
    let reasons = &error.failure().unwrap().reasons;
    let reason = reasons.iter().find(|reason| reason.constraint == "S4.5").unwrap();
    assert!(reason.found.contains("reduce_argmax") && !reason.fix.is_empty(), "{reason:?}");
}

#[test]
fn faults_strike_when_they_should() {
    let engine = engine("m4");
    let source = source(difference("a", "b"));
    let at = |call, nth, effect| engine.inject(Fault::at(call, nth, effect));
    at(Call::Compile, 1, Effect::Fail);
    assert_eq!(engine.compile(&source).err().unwrap().failure().unwrap().stage, Stage::Compile);
    at(Call::Load, 1, Effect::Fail);
    assert_eq!(engine.compile(&source).err().unwrap().failure().unwrap().stage, Stage::Load);
    let session = Session::new(&engine, &source).unwrap();
    let values = BTreeMap::from([
        ("a".to_owned(), halves(&[3.0; 64])),
        ("b".to_owned(), halves(&[1.0; 64])),
    ]);
    let run = || session.run(&values).map(|mut out| out.remove("o00_z").unwrap());
    let right = run().unwrap();
    assert!(right.iter().all(|v| v.to_f32() == 1.0));
    at(Call::Evaluate, 2, Effect::Fail);
    at(Call::Evaluate, 3, Effect::Status(0x16));
    at(Call::Evaluate, 4, Effect::Delay(Duration::from_millis(30)));
    at(Call::Evaluate, 5, Effect::Corrupt { seed: 9 });
    engine.inject(Fault::at(Call::Evaluate, 7, Effect::Wedge).forever());
    assert!(run().unwrap_err().to_string().contains("status=0x1d"));
    assert!(run().unwrap_err().to_string().contains("status=0x16"));
    let start = Instant::now();
    assert_eq!(run().unwrap(), right);
    assert!(start.elapsed() >= Duration::from_millis(30));
    let wrong = run().unwrap();
    assert_eq!(wrong.iter().zip(&right).filter(|(a, b)| a.to_bits() != b.to_bits()).count(), 1);
    assert_eq!(run().unwrap(), right);
    let mut request = session.request();
    request.timeout = Duration::from_millis(20);
    let start = Instant::now();
    assert_eq!(failure(session.kernel.evaluate(&request)).code, Failure::TIMEOUT);
    assert!(start.elapsed() >= Duration::from_millis(20));
    // From then on nothing answers, and at once (C41).
    let start = Instant::now();
    assert_eq!(failure(session.kernel.evaluate(&request)).code, Failure::TIMEOUT);
    assert!(engine.compile(&source).is_err());
    assert!(start.elapsed() < Duration::from_millis(20));
    assert!(Emulator::new(engine.profile().clone(), Mode::Fast).compile(&source).is_ok());
}

#[test]
fn what_runs_is_priced() {
    let engine = engine("m4-pro");
    let session = Session::new(&engine, &source(function(&PIECES[1]))).unwrap();
    for _ in 0..3 {
        session.kernel.evaluate(&session.request()).unwrap();
    }
    let found = engine.statistics();
    assert_eq!((found.compiles, found.loads, found.evaluates), (1, 1, 3));
    assert_eq!(found.flops, 3.0 * 2.0 * 64.0 * 96.0 * 64.0);
    assert!(found.predicted_evaluate_ms > 3.0 * 0.09 && found.predicted_evaluate_ms < 3.0 * 0.2);
    assert!(found.predicted_compile_ms > 10.0);
    let strict = Emulator::new(Profile::named("strict").unwrap(), Mode::Exact);
    assert_eq!(strict.statistics().predicted_evaluate_ms, 0.0, "no device, no prediction");
    assert!(engine.describe().contains("emulated m4-pro (h16g), exact"), "{}", engine.describe());
}

#[test]
fn programs_larger_than_the_device_are_not_loaded() {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&[1, 1, 32, 32]).unwrap()).unwrap();
    let large = b.fill(aneal_mil::DType::Fp16, &[1, 60_000, 32, 2048], 0.5).unwrap();
    let sum = b.reduce_sum(large, &[3]).unwrap();
    let sum = b.slice_by_size(sum, &[0; 4], &[1, 1, 32, 1]).unwrap();
    let y = b.add(x, sum).unwrap();
    b.output("y", y).unwrap();
    let error = engine("m5-max").compile(&source(b.finish().unwrap())).err().unwrap();
    let found = error.failure().unwrap();
    assert!(found.text.contains("0x20004") && found.reasons[0].constraint == "1.15", "{found}");
    assert!(engine("m4").surface(0).is_err() && engine("m4").surface(5 << 30).is_err());
}
