//! `[backend]`: what computes.

use serde::{Deserialize, Serialize};

/// What a run computes on. The saved configuration names it, so that a run goes on as it began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BackendConfig {
    /// This machine's CPU.
    #[default]
    Cpu,
    /// An emulated Neural Engine, and the CPU beside it.
    Emulator(EmulatorConfig),
}

/// `[backend]` with `kind = "emulator"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmulatorConfig {
    /// The device: a built-in profile's name, or a file.
    #[serde(default = "default_profile")]
    pub profile: String,
    /// Which programs run on it, and in which order.
    #[serde(default = "default_plan")]
    pub plan: String,
    /// How closely its arithmetic is followed.
    #[serde(default)]
    pub arithmetic: EmulatedArithmetic,
}

fn default_profile() -> String {
    "m4-pro".to_owned()
}

fn default_plan() -> String {
    "ten-kernel".to_owned()
}

impl Default for EmulatorConfig {
    fn default() -> Self {
        Self {
            profile: default_profile(),
            plan: default_plan(),
            arithmetic: EmulatedArithmetic::default(),
        }
    }
}

/// How an emulated engine sums products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmulatedArithmetic {
    /// Bit for bit as documented of the device.
    Exact,
    /// In f32, with the device's overflow and rounding at the end.
    #[default]
    Fast,
}
