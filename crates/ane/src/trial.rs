//! A program run once on an engine, beside what it means: for those who want to know how far a device
//! is from the formula.

use std::collections::BTreeMap;

use aneal_mil::eval::{Exact, Tensor, evaluate};
use aneal_mil::{Dialect, Literal, Program, blob::Weights};

use crate::Result;
use crate::engine::{Engine, Request, RowLayout, Source, Surface};

/// How an output of the engine differs from what the program means in fp32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Largest size of what is meant.
    pub largest: f64,
    /// Largest difference of two elements, of those that are finite in both.
    pub worst: f64,
    /// Root of the mean square of the difference, over that of what is meant.
    pub relative_rms: f64,
    /// Elements that are finite in what is meant and not in what was computed.
    pub lost: usize,
}

impl Difference {
    /// Compares two tensors of the same shape; elements past the shorter one's end are not there.
    #[must_use]
    pub fn between(computed: &Tensor, meant: &Tensor) -> Self {
        let mut out = Self { largest: 0.0, worst: 0.0, relative_rms: 0.0, lost: 0 };
        let (mut error, mut power) = (0.0, 0.0);
        for (&computed, &meant) in computed.values.iter().zip(&meant.values) {
            if !meant.is_finite() {
                continue;
            }
            out.largest = out.largest.max(meant.abs());
            if computed.is_finite() {
                out.worst = out.worst.max((computed - meant).abs());
                error += (computed - meant).powi(2);
                power += meant.powi(2);
            } else {
                out.lost += 1;
            }
        }
        out.relative_rms = if power > 0.0 { (error / power).sqrt() } else { error.sqrt() };
        out
    }
}

/// Compiles a program and runs the procedure with that index on inputs by name. Outputs by name.
///
/// # Errors
///
/// [`Error::Engine`](crate::Error::Engine) from the engine, [`Error::Program`](crate::Error::Program)
/// for inputs that are missing or of another type.
pub fn run(
    engine: &dyn Engine,
    program: &Program,
    weights: &Weights,
    procedure: usize,
    inputs: &BTreeMap<String, Tensor>,
) -> Result<BTreeMap<String, Tensor>> {
    let kernel = engine.compile(&Source::new(program, Dialect::Modern, weights))?;
    let refuse = |reason: String| aneal_mil::Error::Evaluation(reason);
    let known = kernel.procedures().get(procedure);
    let known = known.ok_or_else(|| refuse(format!("the program has no procedure {procedure}")))?;
    let surfaces = known.inputs.iter().map(|symbol| {
        let name = &symbol.name;
        let tensor = inputs.get(name);
        let tensor = tensor.ok_or_else(|| refuse(format!("input `{name}` is not given")))?;
        if tensor.ty != symbol.layout.ty {
            let (found, want) = (tensor.ty, symbol.layout.ty);
            return Err(refuse(format!("input `{name}` is {found}, expected {want}")).into());
        }
        filled(engine, &symbol.layout, tensor)
    });
    let surfaces = surfaces.collect::<Result<Vec<_>>>()?;
    let outputs = known.outputs.iter().map(|symbol| engine.surface(symbol.layout.bytes()));
    let outputs = outputs.collect::<Result<Vec<_>>>()?;
    kernel.evaluate(&Request::new(known, &surfaces, &outputs).of(procedure as u32))?;
    let read = known
        .outputs
        .iter()
        .zip(&outputs)
        .map(|(symbol, surface)| Ok((symbol.name.clone(), emptied(&symbol.layout, surface)?)));
    read.collect()
}

/// What the same procedure means: computed by the reference evaluator in fp32.
///
/// # Errors
///
/// [`Error::Program`](crate::Error::Program), as [`run`].
pub fn meant(
    program: &Program,
    weights: &Weights,
    procedure: usize,
    inputs: &BTreeMap<String, Tensor>,
) -> Result<BTreeMap<String, Tensor>> {
    let function = program.functions.get(procedure).ok_or_else(|| {
        aneal_mil::Error::Evaluation(format!("the program has no function {procedure}"))
    })?;
    Ok(evaluate(function, weights, inputs, &Exact)?)
}

/// A surface that holds a tensor.
fn filled(engine: &dyn Engine, layout: &RowLayout, tensor: &Tensor) -> Result<Surface> {
    let surface = engine.surface(layout.bytes())?;
    let literal = tensor.to_literal()?;
    let rows = literal.bytes().unwrap_or_default().chunks_exact(layout.used_bytes);
    let mut bytes = surface.write()?;
    for (row, values) in bytes.chunks_exact_mut(layout.row_bytes).zip(rows) {
        row[..layout.used_bytes].copy_from_slice(values);
    }
    drop(bytes);
    Ok(surface)
}

/// The tensor that a surface holds.
fn emptied(layout: &RowLayout, surface: &Surface) -> Result<Tensor> {
    let bytes = surface.read()?;
    let rows = bytes.chunks_exact(layout.row_bytes).take(layout.rows);
    let packed = rows.flat_map(|row| &row[..layout.used_bytes]).copied().collect();
    Ok(Tensor::from_literal(&Literal::from_bytes(layout.ty, packed)?)?)
}

#[cfg(test)]
mod tests {
    use aneal_mil::{Builder, MatMul, Opset, Type};

    use super::*;
    use crate::Profile;
    use crate::emulator::{Emulator, Mode};

    #[test]
    fn a_program_is_run_beside_its_meaning() {
        let mut b = Builder::new("main", Opset::Ios18);
        let ty = Type::fp16(&[1, 1, 32, 32]).unwrap();
        let x = b.input("x", ty).unwrap();
        let y = b.matmul(x, x, MatMul::default()).unwrap();
        let y = b.add(y, 0.1).unwrap();
        b.output("y", y).unwrap();
        let program = Program::new(vec![b.finish().unwrap()]);
        let values: Vec<f32> = (0..1024).map(|at| (at * 37 % 64) as f32 / 64.0).collect();
        let mut inputs =
            BTreeMap::from([("i00_x".into(), Tensor::from_floats(ty, &values).unwrap())]);
        let engine = Emulator::new(Profile::named("m4").unwrap(), Mode::Exact);
        let none = Weights::new();
        let computed = run(&engine, &program, &none, 0, &inputs).unwrap();
        let meant = meant(&program, &none, 0, &inputs).unwrap();
        let found = Difference::between(&computed["o00_y"], &meant["o00_y"]);
        assert!(found.relative_rms > 1e-5 && found.relative_rms < 1e-3, "{found:?}");
        assert!(found.worst > 0.0 && found.largest > 1.0 && found.lost == 0, "{found:?}");
        assert!(run(&engine, &program, &none, 1, &inputs).is_err());
        inputs.clear();
        let error = run(&engine, &program, &none, 0, &inputs).unwrap_err().to_string();
        assert!(error.contains("input `i00_x` is not given"), "{error}");
    }

    #[test]
    fn what_is_lost_is_counted_and_not_averaged() {
        let ty = Type::fp16(&[4]).unwrap();
        let tensor = |values: &[f64]| Tensor { ty, values: values.to_vec() };
        let found = Difference::between(
            &tensor(&[1.0, f64::INFINITY, 2.5, f64::NAN]),
            &tensor(&[1.0, 5.0, 2.0, f64::INFINITY]),
        );
        assert_eq!((found.lost, found.worst, found.largest), (1, 0.5, 5.0));
        assert_eq!(found.relative_rms, (0.25_f64 / 5.0).sqrt());
    }
}
