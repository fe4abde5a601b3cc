//! `--backend` and what belongs to it: which backend a run computes on, as flags say, as the
//! configuration keeps it, and as it is made.

use std::sync::Arc;

use aneal_ane::Profile;
use aneal_ane::emulator::{Emulator, Mode};
use aneal_mil::lint::Severity;
use aneal_model::ane::{AneBackend, Plan, Pricing, Target};
use aneal_model::cpu::Cpu;
use aneal_model::{Backend, ModelConfig, Precision};
use aneal_train::config::{BackendConfig, EmulatedArithmetic, EmulatorConfig, Layers};
use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::device;
use crate::output::{note, usage};

/// Flags of every command that computes with a model.
#[derive(Debug, Args)]
pub(crate) struct BackendArgs {
    /// What computes [default: the configuration's, else auto]
    #[arg(long, value_enum)]
    backend: Option<BackendKind>,
    /// The device that is emulated: a built-in profile or a file [default: m4-pro]
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// The programs that run on it: ten-kernel [default: ten-kernel]
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// How closely its arithmetic is followed [default: fast]
    #[arg(long, value_enum)]
    arithmetic: Option<ArithmeticArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendKind {
    /// The best there is, and says which
    Auto,
    /// The CPU
    Cpu,
    /// An emulated Neural Engine, with the CPU beside it
    Emulator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ArithmeticArg {
    /// Bit for bit as documented of the device
    Exact,
    /// Products summed in f32, overflow and rounding as on the device
    Fast,
}

impl BackendArgs {
    /// Lays the flags over a configuration.
    pub(crate) fn apply(&self, layers: &mut Layers) -> anyhow::Result<()> {
        match self.backend {
            Some(BackendKind::Emulator) => layers.set("backend.kind", "emulator"),
            Some(BackendKind::Auto | BackendKind::Cpu) => {
                layers.unset("backend");
                layers.set("backend.kind", "cpu");
            }
            None => {}
        }
        if self.names_a_device() && !layers.is_emulated() {
            return Err(usage("--profile, --plan and --arithmetic need --backend emulator"));
        }
        if let Some(profile) = &self.profile {
            layers.set("backend.profile", absolute(profile)?);
        }
        if let Some(plan) = &self.plan {
            layers.set("backend.plan", plan.as_str());
        }
        if let Some(arithmetic) = self.arithmetic {
            layers.set("backend.arithmetic", toml::Value::try_from(arithmetic.config())?);
        }
        Ok(())
    }

    /// What the flags say where there is no configuration.
    pub(crate) fn config(&self) -> anyhow::Result<BackendConfig> {
        if self.backend != Some(BackendKind::Emulator) {
            if self.names_a_device() {
                return Err(usage("--profile, --plan and --arithmetic need --backend emulator"));
            }
            return Ok(BackendConfig::Cpu);
        }
        let mut config = EmulatorConfig::default();
        config.profile = self.profile.clone().unwrap_or(config.profile);
        config.plan = self.plan.clone().unwrap_or(config.plan);
        config.arithmetic = self.arithmetic.map_or(config.arithmetic, ArithmeticArg::config);
        Ok(BackendConfig::Emulator(config))
    }

    fn names_a_device(&self) -> bool {
        self.profile.is_some() || self.plan.is_some() || self.arithmetic.is_some()
    }

    /// Says why it is the CPU where nobody asked for it.
    pub(crate) fn explain(&self, chosen: &BackendConfig) {
        let asked = matches!(self.backend, Some(BackendKind::Cpu | BackendKind::Emulator));
        if !asked && *chosen == BackendConfig::Cpu {
            let line = "chose the cpu: no Neural Engine is there (--backend emulator emulates one)";
            note(&format!("{:<9}{line}", "auto"));
        }
    }
}

impl ArithmeticArg {
    fn config(self) -> EmulatedArithmetic {
        match self {
            Self::Exact => EmulatedArithmetic::Exact,
            Self::Fast => EmulatedArithmetic::Fast,
        }
    }
}

/// A profile that means the same from any folder.
fn absolute(profile: &str) -> anyhow::Result<String> {
    if !device::is_file(profile) {
        return Ok(profile.to_owned());
    }
    let path =
        std::path::absolute(profile).with_context(|| format!("cannot make {profile} absolute"))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| usage(format!("--profile {}: its path is no UTF-8", path.display())))
}

/// What an update would take on the device that is emulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predicted {
    /// Whose costs they are.
    pub(crate) device: &'static str,
    /// Engine and CPU of that device.
    pub(crate) update_ms: f64,
    /// Of both, while it trains.
    pub(crate) watts: f64,
}

/// What a run computes on.
pub(crate) struct Chosen {
    pub(crate) backend: Box<dyn Backend>,
    /// Where what is emulated has known costs.
    pub(crate) predicted: Option<Predicted>,
}

/// Sequences that a run computes with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Tokens of the longest sequence.
    pub(crate) seq_len: usize,
    /// Of an update, or 0 where nothing is trained.
    pub(crate) tokens: usize,
}

/// Makes a backend.
pub(crate) fn make(
    config: &BackendConfig,
    model: &ModelConfig,
    precision: Precision,
    workload: Workload,
) -> anyhow::Result<Chosen> {
    let emulator = match config {
        BackendConfig::Cpu => {
            let backend = Box::new(Cpu::new(model, precision)?);
            return Ok(Chosen { backend, predicted: None });
        }
        BackendConfig::Emulator(emulator) => emulator,
    };
    let profile = device::profile(&emulator.profile)?;
    let target = Target { model, profile: &profile, sequences: 1, seq_len: workload.seq_len };
    let plan = Plan::named(&emulator.plan, &target)?;
    warn(&plan, &profile);
    let mut predicted = None;
    if let Some((device, costs)) = profile.costs()?
        && workload.tokens > 0
    {
        let micro_batches = workload.tokens.div_ceil(plan.tokens());
        let step = plan.price(
            &costs,
            &Pricing { occurring: model.vocab_size, micro_batches_per_update: Some(micro_batches) },
        );
        let update_ms = step.timeline.total_ms() * micro_batches as f64;
        predicted = Some(Predicted { device, update_ms, watts: step.power.total_w() });
    }
    let mode = match emulator.arithmetic {
        EmulatedArithmetic::Exact => Mode::Exact,
        EmulatedArithmetic::Fast => Mode::Fast,
    };
    let backend = AneBackend::new(plan, Arc::new(Emulator::new(profile, mode)))?;
    Ok(Chosen { backend: Box::new(backend), predicted })
}

/// What only clients that feed programs wrongly run into: here rows are padded, and values are bound by
/// their names.
const KEPT: [&str; 2] = ["C23", "C24"];

/// Says what the device is known to get wrong in a plan's programs, since the emulator does too.
fn warn(plan: &Plan, profile: &Profile) {
    let name = &profile.name;
    for (rule, kernels) in device::broken(&plan.objections(profile)) {
        if rule.severity == Severity::Wrong && !KEPT.contains(&rule.id) {
            let (id, what, kernels) = (rule.id, rule.summary, kernels.join(", "));
            note(&format!(
                "{:<9}{name} computes these wrongly: {kernels}; {what} ({id})",
                "warning"
            ));
        }
    }
}
