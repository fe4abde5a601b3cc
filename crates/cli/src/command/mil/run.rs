//! `aneal mil run`: a program on an emulated engine, beside what it means.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use aneal_ane::clock::Work;
use aneal_ane::emulator::{Emulator, Mode};
use aneal_ane::trial::{self, Difference};
use aneal_mil::eval::Tensor;
use aneal_mil::{DType, Function, Type};
use aneal_model::philox::{Philox, Stream};
use aneal_train::run_folder::write_atomically;
use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use super::input::Input;
use crate::device;
use crate::output::{grouped, note, result, usage};

#[derive(Debug, Parser)]
#[command(after_help = "\
The device is emulated from published measurements; nothing runs on hardware. What the program means
is computed in fp32 from the same inputs. Times are predicted.

Examples:
  aneal mil run layer.mil                           # on M4 Pro, inputs drawn from -1 to 1
  aneal mil run layer.mil --profile m1 --scale 8    # where partial sums grow
  aneal mil run layer.mil --inputs in.safetensors --out out.safetensors --json")]
pub(super) struct Args {
    /// MIL text, an .mlpackage folder, or its model.mlmodel
    file: PathBuf,
    /// Folder of the weight files [default: where FILE names them, beside it]
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Which function [default: the first]
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// The device: m1, m3-pro, m3-ultra, m4, m4-pro, m4-max, m5-max, m6, strict, or a profile's file
    #[arg(long, value_name = "NAME|FILE", default_value = "m4-pro")]
    profile: String,
    /// Bit for bit as the profile says, or fast
    #[arg(long, value_enum, default_value_t = Arithmetic::Exact)]
    arithmetic: Arithmetic,
    /// Inputs by name, fp16 or fp32, from a safetensors file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scale", "seed"])]
    inputs: Option<PathBuf>,
    /// Draw inputs evenly from -X to X
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    scale: f32,
    /// Of the inputs drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the engine's outputs into a safetensors file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The command line's words for [`Mode`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arithmetic {
    /// As the device, bit for bit
    Exact,
    /// Sums in f32
    Fast,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    function: &'a str,
    engine: String,
    outputs: Vec<Output>,
    /// Absent for a profile of no documented device.
    predicted_ms: Option<f64>,
    predicted_compile_ms: Option<f64>,
    flops: f64,
}

#[derive(Serialize)]
struct Output {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    largest: f64,
    worst_difference: f64,
    relative_rms: f64,
    lost_elements: usize,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<()> {
    if !(args.scale > 0.0 && args.scale.is_finite()) {
        return Err(usage(format!("--scale {}: expected a number above 0", args.scale)));
    }
    let input = Input::read(&args.file)?;
    let files = input.weights(args.weights.as_deref());
    files.require(&input)?;
    let (place, function) = function(&input.program.functions, args.function.as_deref())?;
    let profile = device::profile(&args.profile)?;
    let costs = profile.costs()?.map(|(_, costs)| costs);
    let mode = match args.arithmetic {
        Arithmetic::Exact => Mode::Exact,
        Arithmetic::Fast => Mode::Fast,
    };
    let engine = Emulator::new(profile, mode);
    let inputs = match &args.inputs {
        Some(file) => read_inputs(function, file)?,
        None => drawn(function, args.scale, args.seed),
    };
    let weights = &files.weights;
    let computed = trial::run(&engine, &input.program, weights, place, &inputs)?;
    let meant = trial::meant(&input.program, weights, place, &inputs)?;
    if let Some(file) = &args.out {
        write_outputs(&computed, file)?;
        note(&format!("outputs in {}", file.display()));
    }
    let outputs = computed.iter().map(|(name, tensor)| {
        let Difference { largest, worst, relative_rms, lost } =
            Difference::between(tensor, &meant[name]);
        Output {
            name: name.clone(),
            ty: tensor.ty.to_string(),
            largest,
            worst_difference: worst,
            relative_rms,
            lost_elements: lost,
        }
    });
    let work = Work::of(function);
    let price = costs.as_ref().map(|costs| costs.dispatch(&work, &Default::default()).total_ms());
    let report = Report {
        file: &args.file,
        function: &function.name,
        engine: aneal_ane::Engine::describe(&engine),
        outputs: outputs.collect(),
        predicted_ms: price,
        predicted_compile_ms: costs.map(|costs| costs.compile_function_ms(function)),
        flops: work.flops(),
    };
    result(json, &report, || told(&report))
}

/// The function asked for, and its place.
fn function<'a>(
    functions: &'a [Function],
    name: Option<&str>,
) -> anyhow::Result<(usize, &'a Function)> {
    let found = functions.iter().enumerate().find(|(_, f)| name.is_none_or(|name| f.name == name));
    found.ok_or_else(|| {
        let known: Vec<_> = functions.iter().map(|f| f.name.as_str()).collect();
        usage(format!("--function: expected one of {}", known.join(", ")))
    })
}

/// Inputs drawn evenly from -`scale` to `scale`, the same for the same seed everywhere.
fn drawn(function: &Function, scale: f32, seed: u64) -> BTreeMap<String, Tensor> {
    let philox = Philox::new(seed, Stream::Trial);
    let mut block = 0;
    let inputs = function.input_ids().map(|id| {
        let value = function.value(id);
        let store = |v: f32| match value.ty.dtype {
            DType::Fp16 => half::f16::from_f32(v).to_f64(),
            DType::Fp32 => f64::from(v),
            _ => f64::from(v.round()),
        };
        let mut drawn = vec![0.0; value.ty.shape.elements()];
        block = philox.fill_symmetric(block, &mut drawn);
        let values = drawn.into_iter().map(|v| store(v * scale)).collect();
        (value.name.clone(), Tensor { ty: value.ty, values })
    });
    inputs.collect()
}

fn read_inputs(function: &Function, file: &Path) -> anyhow::Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let tensors = SafeTensors::deserialize(&bytes)
        .with_context(|| format!("{} is no safetensors file", file.display()))?;
    let inputs = function.input_ids().map(|id| {
        let value = function.value(id);
        let name = &value.name;
        let tensor = tensors.tensor(name).map_err(|_| {
            anyhow::anyhow!("{} has no tensor `{name}`, an input {}", file.display(), value.ty)
        })?;
        if !tensor.shape().iter().copied().eq(value.ty.shape.iter()) {
            let found = tensor.shape();
            bail!("`{name}` in {} has shape {found:?}, expected {}", file.display(), value.ty);
        }
        let data = tensor.data();
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F16 => data
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&b| half::f16::from_le_bytes(b).to_f32())
                .collect(),
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            other => bail!("`{name}` in {} is {other:?}, expected F16 or F32", file.display()),
        };
        Ok((name.clone(), Tensor::from_floats(value.ty, &values)?))
    });
    inputs.collect()
}

fn write_outputs(outputs: &BTreeMap<String, Tensor>, file: &Path) -> anyhow::Result<()> {
    let literals = outputs.iter().map(|(name, tensor)| {
        let dtype = match tensor.ty.dtype {
            DType::Fp16 => Dtype::F16,
            DType::Fp32 => Dtype::F32,
            other => bail!("output `{name}` is {other}, which --out does not write"),
        };
        Ok((name, tensor.ty, dtype, tensor.to_literal()?))
    });
    let literals = literals.collect::<anyhow::Result<Vec<_>>>()?;
    let views = literals.iter().map(|(name, ty, dtype, literal): &(_, Type, _, _)| {
        let bytes = literal.bytes().unwrap_or_default();
        Ok((*name, safetensors::tensor::TensorView::new(*dtype, ty.shape.dims(), bytes)?))
    });
    let views = views.collect::<anyhow::Result<Vec<_>>>()?;
    write_atomically(file, &safetensors::serialize(views, None)?)?;
    Ok(())
}

/// The report for people.
fn told(report: &Report<'_>) -> String {
    // Writing to a `String` cannot fail.
    let mut out = String::new();
    let _ = writeln!(out, "{} of {}: {}", report.function, report.file.display(), report.engine);
    for o in &report.outputs {
        let _ = writeln!(
            out,
            "  {} {}: largest {:.4}, from fp32 at most {:.2e}, {:.2e} of its root mean square",
            o.name, o.ty, o.largest, o.worst_difference, o.relative_rms
        );
        if o.lost_elements > 0 {
            let lost = grouped(o.lost_elements as u64);
            let _ = writeln!(out, "  {}: {lost} elements are not finite and should be", o.name);
        }
    }
    if let (Some(ms), Some(compile_ms)) = (report.predicted_ms, report.predicted_compile_ms) {
        let _ = writeln!(out, "predicted: {ms:.3} ms a run, {compile_ms:.0} ms to compile");
    }
    out
}
