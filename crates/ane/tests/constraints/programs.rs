//! Small programs, and what every profile makes of one.

use aneal_ane::Profile;
use aneal_ane::constraint::Constraint;
use aneal_ane::engine::{Engine, Source, Stage};
use aneal_mil::lint::{self, Severity};
use aneal_mil::{Builder, Function, Opset, Program, Result, Type, Value};
use half::f16;

use crate::session::{Session, engine, halves, source};

/// A function of one input.
pub(crate) fn function(
    dims: &[usize],
    make: impl Fn(&mut Builder, Value) -> Result<Value>,
) -> Function {
    functions(&[dims], |b, inputs| make(b, inputs[0]))
}

/// A function of several.
pub(crate) fn functions(
    inputs: &[&[usize]],
    make: impl Fn(&mut Builder, &[Value]) -> Result<Value>,
) -> Function {
    let mut b = Builder::new("main", Opset::Ios18);
    let inputs: Vec<Value> =
        inputs.iter().map(|dims| b.input("in", Type::fp16(dims).unwrap()).unwrap()).collect();
    let y = make(&mut b, &inputs).unwrap();
    b.output("y", y).unwrap();
    b.finish().unwrap()
}

/// A constant of one value.
pub(crate) fn filled(b: &mut Builder, dims: &[usize], value: f32) -> Result<Value> {
    b.floats(Type::fp16(dims)?, &vec![value; dims.iter().product()])
}

/// The constraint of that number.
pub(crate) fn constraint(number: u8) -> &'static Constraint {
    Constraint::numbered(number).unwrap()
}

/// Profiles whose compiler refuses the program for the constraint of that number.
pub(crate) fn refusing(number: u8, program: &Source) -> Vec<String> {
    let id = constraint(number).id();
    let refuses = |profile: &Profile| match engine(&profile.name).compile(program) {
        Ok(_) => false,
        Err(error) => {
            let failure = error.failure().unwrap();
            failure.stage == Stage::Compile && failure.reasons.iter().any(|r| r.constraint == id)
        }
    };
    Profile::all().unwrap().iter().filter(|p| refuses(p)).map(|p| p.name.clone()).collect()
}

/// The faulty program is refused where the constraint is in force and nowhere else; the sound one is
/// refused for it nowhere.
pub(crate) fn refused(number: u8, faulty: Function, sound: Function) {
    let found = refusing(number, &source(faulty));
    assert_eq!(found, constraint(number).profiles().unwrap());
    assert!(refusing(number, &source(sound)).is_empty(), "the sound program is refused");
}

/// The linter notes the faulty program where the rule is in force and nowhere else, and no compiler
/// refuses it for that; the sound one is noted nowhere.
pub(crate) fn noted(number: u8, faulty: Function, sound: Function) {
    let id = constraint(number).id();
    assert!(refusing(number, &source(faulty.clone())).is_empty(), "a note refuses a program");
    let (faulty, sound) = (Program::new(vec![faulty]), Program::new(vec![sound]));
    for profile in Profile::all().unwrap() {
        let rules = profile.rule_set();
        let in_force = rules.rules().any(|rule| rule.id == id);
        let mut findings = lint::check(&faulty, &rules).into_iter().filter(|f| f.rule.id == id);
        let found = findings.next().map(|finding| finding.rule.severity);
        assert_eq!(found, in_force.then_some(Severity::Note), "{}", profile.name);
        let sound = lint::check(&sound, &rules);
        assert!(sound.iter().all(|f| f.rule.id != id), "the sound program on {}", profile.name);
    }
}

/// The output on a profile, inputs in order; nothing where its compiler refuses the program.
pub(crate) fn run(profile: &str, function: &Function, inputs: &[&[f32]]) -> Option<Vec<f32>> {
    let session = match Session::new(&engine(profile), &source(function.clone())) {
        Ok(session) => session,
        Err(error) => {
            assert_eq!(error.failure().unwrap().stage, Stage::Compile, "{profile}: {error}");
            return None;
        }
    };
    let procedure = &session.kernel.procedures()[0];
    assert_eq!(inputs.len(), procedure.inputs.len());
    let named = procedure.inputs.iter().zip(inputs);
    let values = named.map(|(symbol, values)| (symbol.name.clone(), halves(values))).collect();
    let out = session.run(&values).unwrap().remove(&procedure.outputs[0].name).unwrap();
    Some(out.iter().map(|v| v.to_f32()).collect())
}

/// Writes values into the inputs of a session.
pub(crate) fn fill(session: &Session, inputs: &[&[f32]]) {
    let procedure = &session.kernel.procedures()[0];
    assert_eq!(inputs.len(), procedure.inputs.len());
    for ((symbol, surface), values) in procedure.inputs.iter().zip(&session.inputs).zip(inputs) {
        surface.write_halves(&symbol.layout, &halves(values)).unwrap();
    }
}

/// The values of the first output.
pub(crate) fn output(session: &Session) -> Vec<f32> {
    let layout = &session.kernel.procedures()[0].outputs[0].layout;
    let mut out = vec![f16::ZERO; layout.ty.shape.elements()];
    session.outputs[0].read_halves(layout, &mut out).unwrap();
    out.iter().map(|v| v.to_f32()).collect()
}

/// Runs a program on every profile that accepts it: what comes out must be `wrong` where the constraint
/// is in force, and `right` elsewhere; both must happen.
pub(crate) fn compared(
    number: u8,
    function: &Function,
    inputs: &[&[f32]],
    wrong: impl Fn(&[f32]) -> bool,
    right: impl Fn(&[f32]) -> bool,
) {
    let mut counts = [0, 0];
    for profile in Profile::all().unwrap() {
        let Some(out) = run(&profile.name, function, inputs) else { continue };
        let in_force = constraint(number).in_force(&profile);
        let first = &out[..out.len().min(8)];
        assert!(
            out.iter().any(|v| v.is_nan()) || wrong(&out) != right(&out),
            "both or none: {first:?}"
        );
        assert!(if in_force { wrong(&out) } else { right(&out) }, "{}: {first:?}", profile.name);
        counts[usize::from(in_force)] += 1;
    }
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?} profiles without and with it");
}

/// Whether all values are within half a per cent of that one.
pub(crate) fn all(value: f32) -> impl Fn(&[f32]) -> bool {
    move |out| out.iter().all(|v| (v - value).abs() <= 5e-3 * value.abs())
}
