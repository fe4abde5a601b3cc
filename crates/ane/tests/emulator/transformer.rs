//! Every piece in every profile that accepts it, against what the program means in fp32.

use std::collections::BTreeMap;

use aneal_ane::Profile;
use aneal_ane::engine::Source;
use aneal_mil::blob::Weights;
use aneal_mil::eval::{Exact, Tensor, evaluate};
use aneal_mil::{Dialect, Function, Program};
use half::f16;

use crate::catalogue::Random;
use crate::pieces::{PIECES, WORKED_EXAMPLE, function, worked_example};
use crate::session::{Session, engine, source};

/// How many pieces a profile accepts, and the largest error that they may have, relative to the largest
/// value of an output.
/// The products of these pieces are large enough that no profile drops them; what is left is the
/// rounding of operands and results to fp16 (2^-11), of products where they are rounded, of groups of
/// four on M1, and from M4 on the tables of functions (sigmoid: 3.4e-3 absolute, B.2(10)).
const ERRORS: &[(&str, usize, f64)] = &[
    ("m1", 17, 2e-3),
    ("m3-pro", 16, 2e-3),
    ("m3-ultra", 17, 2e-3),
    ("m4", 17, 4e-3),
    ("m4-pro", 17, 4e-3),
    ("m4-max", 17, 4e-3),
    ("m5-max", 17, 4e-3),
    ("m6", 17, 4e-3),
    // It refuses to rearrange anything (C32): what has neither a slice nor a reshape is left.
    ("strict", 2, 4e-3),
];

/// The worst error of a function's outputs, or nothing where the profile refuses it.
fn error(profile: &str, function: &Function, source: &Source) -> Option<f64> {
    let session = match Session::new(&engine(profile), source) {
        Ok(session) => session,
        Err(error) => {
            let failure = error.failure().unwrap_or_else(|| panic!("{profile}: {error}"));
            let reasons: Vec<_> = failure.reasons.iter().map(|r| r.constraint.as_str()).collect();
            assert!(!reasons.is_empty(), "{profile}: refused without a reason: {failure}");
            eprintln!(
                "{profile} refuses a piece of {} operations: {reasons:?}",
                function.operations.len()
            );
            return None;
        }
    };
    let mut random = Random::new(7);
    let inputs: BTreeMap<String, Tensor> = function
        .input_ids()
        .map(|id| {
            let value = function.value(id);
            // Attention's weights sum to 1 a row, and their gradients come scaled as a loss scale
            // does, so that few products vanish; the rest is about 1.
            let range = match value.name.rsplit('_').next() {
                Some("p") => (0.0, 2.0 / 64.0),
                Some("dp") => (-32.0, 32.0),
                _ => (-1.0, 1.0),
            };
            (value.name.clone(), random.tensor(value.ty, range))
        })
        .collect();
    let want = evaluate(function, &Weights::new(), &inputs, &Exact).unwrap();
    let halves = inputs.iter().map(|(name, tensor)| {
        (name.clone(), tensor.values.iter().map(|&v| f16::from_f64(v)).collect())
    });
    let found = session.run(&halves.collect()).unwrap();
    assert_eq!(found.len(), want.len());
    let mut worst = 0.0_f64;
    for (name, want) in want {
        let scale = want.values.iter().fold(0.0_f64, |max, v| max.max(v.abs()));
        for (want, found) in want.values.iter().zip(&found[&name]) {
            let difference = (want - found.to_f64()).abs() / scale;
            worst = if difference.is_finite() { worst.max(difference) } else { f64::INFINITY };
        }
    }
    Some(worst)
}

#[test]
fn pieces_match_fp32_in_every_profile_that_accepts_them() {
    let mut programs: Vec<(&str, Function, Source)> =
        PIECES.iter().map(|piece| (piece.0, function(piece), source(function(piece)))).collect();
    let text = Source { text: WORKED_EXAMPLE.to_owned(), ..Source::default() };
    programs.push(("worked example", worked_example(), text));
    for &(profile, accepted, allowed) in ERRORS {
        let errors: Vec<_> = programs
            .iter()
            .filter_map(|(name, function, source)| Some((*name, error(profile, function, source)?)))
            .collect();
        let worst = errors.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        eprintln!("{profile}: {} of {} accepted, worst {worst:?}", errors.len(), programs.len());
        assert_eq!(errors.len(), accepted, "{profile} accepts {errors:?}");
        for (name, error) in &errors {
            assert!(*error <= allowed, "{profile}, {name}: {error:e}, stated {allowed:e}");
        }
    }
    assert!(
        ERRORS.iter().map(|(name, ..)| *name).eq(Profile::names()),
        "every profile states its error"
    );
}

#[test]
fn both_dialects_are_one_program() {
    let piece = function(&PIECES[1]);
    let printed =
        |dialect| Source::new(&Program::new(vec![piece.clone()]), dialect, &Weights::new());
    for dialect in [Dialect::Modern, Dialect::Verbose] {
        assert!(error("m1", &piece, &printed(dialect)).unwrap() < 4e-3);
    }
}
