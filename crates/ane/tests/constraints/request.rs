//! What loading and running refuse, and what they allow.

use std::time::Duration;

use aneal_ane::Profile;
use aneal_ane::emulator::{Call, Effect, Fault};
use aneal_ane::engine::{Engine, Failure, Stage};
use aneal_mil::{Function, Literal, Type};

use crate::programs::{all, constraint, fill, function, functions, output};
use crate::session::{Session, engine, halves, source};

fn relu(width: usize) -> Function {
    function(&[1, 4, 1, width], |b, x| b.relu(x))
}

fn failure(result: aneal_ane::Result<()>) -> Failure {
    result.unwrap_err().failure().unwrap().clone()
}

#[test]
fn c001_so_many_programs_and_no_more() {
    for profile in Profile::all().unwrap() {
        let engine = engine(&profile.name);
        let limit = if profile.name == "strict" { 119 } else { 127 };
        let source = source(relu(32));
        let mut kernels: Vec<_> = (0..limit).map(|_| engine.compile(&source).unwrap()).collect();
        let error = engine.compile(&source).err().unwrap();
        let found = error.failure().unwrap();
        assert_eq!((found.stage, &*found.reasons[0].constraint), (Stage::Load, "C1"));
        assert!(found.text.contains("0x50004"), "{found}");
        kernels.pop();
        engine.compile(&source).unwrap();
    }
}

#[test]
fn c021_surfaces_that_are_too_small() {
    for profile in constraint(21).profiles().unwrap() {
        let engine = engine(&profile);
        let session = Session::new(&engine, &source(relu(33))).unwrap();
        let mut request = session.request();
        // Four rows of 66 bytes take 128 each.
        for (bytes, fits) in [(4 * 66, false), (511, false), (512, true), (65_536, true)] {
            request.inputs[0].surface = engine.surface(bytes).unwrap();
            let found = session.kernel.evaluate(&request);
            assert_eq!(found.is_ok(), fits, "{profile}: {bytes}");
            if !fits {
                let found = failure(found);
                assert!(found.text.contains("0x1d") && found.reasons[0].constraint == "C21");
            }
        }
    }
}

#[test]
fn c034_reading_what_is_being_written() {
    for profile in constraint(34).profiles().unwrap() {
        let session = Session::new(&engine(&profile), &source(relu(32))).unwrap();
        let reading = session.outputs[0].read().unwrap();
        assert_eq!(failure(session.kernel.evaluate(&session.request())).stage, Stage::Evaluate);
        drop(reading);
        session.kernel.evaluate(&session.request()).unwrap();
    }
}

#[test]
fn c036_a_width_of_131_padded_to_160() {
    for profile in constraint(36).profiles().unwrap() {
        let engine = engine(&profile);
        let session = Session::new(&engine, &source(relu(131))).unwrap();
        let mut request = session.request();
        for (width, fits) in [(131, false), (160, true)] {
            let surface = engine.surface(4 * width * 2).unwrap();
            (request.inputs[0].surface, request.outputs[0].surface) =
                (surface, engine.surface(4 * 160 * 2).unwrap());
            let found = session.kernel.evaluate(&request);
            assert_eq!(found.is_ok(), fits, "{profile}: {width}");
        }
    }
}

#[test]
fn c041_a_daemon_that_answers_no_more() {
    for profile in constraint(41).profiles().unwrap() {
        let engine = engine(&profile);
        engine.inject(Fault::at(Call::Evaluate, 2, Effect::Wedge));
        let session = Session::new(&engine, &source(relu(32))).unwrap();
        let mut request = session.request();
        request.timeout = Duration::from_millis(1);
        session.kernel.evaluate(&request).unwrap();
        assert_eq!(failure(session.kernel.evaluate(&request)).code, Failure::TIMEOUT);
        let later = failure(session.kernel.evaluate(&request));
        assert_eq!((later.code, &*later.reasons[0].constraint), (Failure::TIMEOUT, "C41"));
        assert!(engine.compile(&source(relu(64))).is_err(), "{profile}");
    }
}

#[test]
fn c042_nothing_runs_after_tile() {
    let tile = function(&[1, 4, 1, 32], |b, x| b.tile(x, &[1, 1, 2, 1]));
    for profile in Profile::all().unwrap() {
        let engine = engine(&profile.name);
        let other = Session::new(&engine, &source(relu(32))).unwrap();
        let session = Session::new(&engine, &source(tile.clone())).unwrap();
        other.kernel.evaluate(&other.request()).unwrap();
        fill(&session, &[&[3.0; 128]]);
        session.kernel.evaluate(&session.request()).unwrap();
        assert!(all(3.0)(&output(&session)), "its own result is right");
        let after = other.kernel.evaluate(&other.request());
        assert_eq!(after.is_err(), constraint(42).in_force(&profile), "{}", profile.name);
        if after.is_err() {
            let found = failure(after);
            assert!(found.text.contains("0x1d") && found.reasons[0].constraint == "C42");
            // Compiling still works, running does not, until the process is another.
            let new = Session::new(&engine, &source(relu(64))).unwrap();
            assert!(new.kernel.evaluate(&new.request()).is_err());
        }
        let fresh =
            Session::new(&crate::session::engine(&profile.name), &source(relu(32))).unwrap();
        fresh.kernel.evaluate(&fresh.request()).unwrap();
    }
}

#[test]
fn c092_what_loads_may_not_run() {
    for profile in constraint(92).profiles().unwrap() {
        let engine = engine(&profile);
        engine.inject(Fault::at(Call::Evaluate, 1, Effect::Fail));
        let session = Session::new(&engine, &source(relu(32))).unwrap();
        assert_eq!(failure(session.kernel.evaluate(&session.request())).stage, Stage::Evaluate);
        session.kernel.evaluate(&session.request()).unwrap();
    }
}

#[test]
fn c099_quantising_operations_run() {
    let f = function(&[1, 4, 1, 32], |b, x| {
        let scale = Literal::from_floats(Type::scalar(aneal_mil::DType::Fp16), &[0.5]).unwrap();
        let q = b.quantize(x, scale.clone(), None, None, aneal_mil::DType::Int8)?;
        b.dequantize(q, scale, None, None)
    });
    for profile in constraint(99).profiles().unwrap() {
        let session = Session::new(&engine(&profile), &source(f.clone())).unwrap();
        fill(&session, &[&[3.2; 128]]);
        session.kernel.evaluate(&session.request()).unwrap();
        assert!(all(3.0)(&output(&session)), "{profile}");
    }
}

#[test]
fn c102_a_surface_is_input_and_output() {
    let f = functions(&[&[1, 4, 1, 32], &[1, 4, 1, 32]], |b, inputs| b.sub(inputs[0], inputs[1]));
    for profile in constraint(102).profiles().unwrap() {
        let session = Session::new(&engine(&profile), &source(f.clone())).unwrap();
        fill(&session, &[&[8.0; 128], &[0.5; 128]]);
        let mut request = session.request();
        request.outputs[0].surface = session.inputs[0].clone();
        session.kernel.evaluate(&request).unwrap();
        session.kernel.evaluate(&request).unwrap();
        let layout = session.kernel.procedures()[0].inputs[0].layout;
        let mut out = halves(&[0.0; 128]);
        session.inputs[0].read_halves(&layout, &mut out).unwrap();
        assert!(out.iter().all(|v| v.to_f32() == 7.0), "{profile}");
    }
}
