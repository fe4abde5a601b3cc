//! What things cost on a device: the `[costs]` table of a TOML file, and the ones known.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Error, Governor};

/// The known devices and their tables, each value with its source.
const DEVICES: [(&str, &str); 8] = [
    ("m1", include_str!("../../profiles/costs/m1.toml")),
    ("m3-pro", include_str!("../../profiles/costs/m3-pro.toml")),
    ("m3-ultra", include_str!("../../profiles/costs/m3-ultra.toml")),
    ("m4", include_str!("../../profiles/costs/m4.toml")),
    ("m4-pro", include_str!("../../profiles/costs/m4-pro.toml")),
    ("m4-max", include_str!("../../profiles/costs/m4-max.toml")),
    ("m5-max", include_str!("../../profiles/costs/m5-max.toml")),
    ("m6", include_str!("../../profiles/costs/m6.toml")),
];

/// What a device takes for everything that the clock knows of.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Handing a program to the engine and getting its answer.
    pub dispatch: DispatchCosts,
    /// Arithmetic.
    pub engine: EngineCosts,
    /// What streams.
    pub memory: MemoryCosts,
    /// What dispatches are priced at in place of all of the above; absent in every device's table.
    #[serde(default)]
    pub loop_rates: Option<LoopRates>,
    /// How the engine's clock follows its load; full speed always where it is not known.
    #[serde(default)]
    pub governor: Governor,
    /// The CPU's share of a step.
    pub host: HostCosts,
    /// Turning a program into what the engine runs.
    pub compile: CompileCosts,
    /// Watts.
    pub power: PowerCosts,
    /// How far this clock is from what was published of the device, by what was measured; empty where
    /// nothing published says enough. `tests/published` computes it.
    #[serde(default)]
    pub compared: BTreeMap<String, Comparison>,
}

/// The clock beside published measurements of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// How many.
    pub rows: usize,
    /// Mean size of the errors, per cent of what was published.
    pub mean_absolute_percent: f64,
    /// Mean error; positive where the clock predicts more.
    pub mean_percent: f64,
}

/// Costs of a dispatch that do not depend on what it computes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatchCosts {
    /// When the CPU did something else since the last one.
    pub alone_ms: f64,
    /// In a loop of nothing but dispatches.
    pub queued_ms: f64,
    /// What a long one adds, because the waiting CPU sleeps deeper (C84).
    pub long_wait: Option<LongWait>,
}

/// The price of waiting long.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongWait {
    /// What is long.
    pub after_ms: f64,
    /// What it adds.
    pub extra_ms: f64,
}

/// The engine's arithmetic at full clock.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineCosts {
    /// Products of large fp16 operands, 10^12 operations a second, a multiply-add being two.
    pub peak_tflops: f64,
    /// Output channels that a pass of the array makes (C86).
    pub pass_channels: usize,
    /// The least that a pass costs, as share of a full one.
    pub pass_floor: f64,
    /// Narrower rows are charged as this wide (C55).
    pub narrow_columns: usize,
    /// Elements a second that the elementwise unit reads, in 10^9, of all inputs together.
    pub elementwise_g_per_s: f64,
    /// Bytes of activations that stay on the chip (C86); more are worked on in tiles.
    pub tile_bytes: usize,
    /// Weight bytes that a core holds at once (C86).
    pub slice_bytes: usize,
    /// Cores of the engine.
    pub cores: usize,
}

/// Dispatches as they were seen inside of training loops, whatever slowed them there: the engine's
/// clock between gaps, small products, surfaces.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopRates {
    /// Each.
    pub dispatch_ms: f64,
    /// Arithmetic of its products, 10^12 operations a second.
    pub tflops: f64,
}

impl LoopRates {
    /// Of the published trainers with ten programs a layer: least squares over 14 runs on M4 and M4
    /// Max, in which terms for surfaces and for softmax came out as zero; mean error 6.6 %, greatest
    /// 20 % (section 2 of the speed facts).
    pub const PUBLISHED: Self = Self { dispatch_ms: 0.108, tflops: 3.79 };
}

/// What streams between memory and the engine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryCosts {
    /// Constant weights, 10^9 bytes a second.
    pub weights_gb_per_s: f64,
    /// Constant weights of which each core reads whole MiB, so that addresses collide.
    pub aliased_gb_per_s: f64,
    /// Inputs and outputs, read and written together.
    pub activations_gb_per_s: f64,
}

/// The CPU's rates. Elements a second in 10^9 unless named otherwise, one thread.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCosts {
    /// Converting between fp32 and fp16 while copying into or out of a surface.
    pub convert_g_per_s: f64,
    /// Copying operands as they are.
    pub copy_g_per_s: f64,
    /// A pass of normalisation.
    pub norm_g_per_s: f64,
    /// The backward of a gated activation.
    pub gate_g_per_s: f64,
    /// Softmax and cross-entropy, by logit.
    pub loss_g_per_s: f64,
    /// Matrix products in fp32, 10^12 operations a second.
    pub matmul_tflops: f64,
    /// Clip, Adam, transpose and staging, 10^-9 seconds a parameter.
    pub update_ns_per_param: f64,
}

impl HostCosts {
    /// What Adam alone took of a parameter in a tuned trainer with three threads on M4 Max, 10^-9
    /// seconds: 7 ms for 48.8 million (section 1.4 of the speed facts). Clip and staging are not in it.
    pub const TUNED_ADAM_NS_PER_PARAM: f64 = 0.14;
}

/// Compile times.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompileCosts {
    /// A program of hardly anything.
    pub program_ms: f64,
    /// Each operation more.
    pub op_ms: f64,
    /// Where the compiler spreads a program over two engines, chains of elementwise operations grow
    /// faster than they should (C79).
    pub dual_engine: Option<DualEngine>,
}

/// `at_128_ms * (operations / 128) ^ exponent`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DualEngine {
    /// For 128 elementwise operations.
    pub at_128_ms: f64,
    /// How it grows.
    pub exponent: f64,
}

/// Watts and what moves them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerCosts {
    /// The engine's rail while dispatches keep coming, whatever they compute.
    pub powered_w: f64,
    /// Each arithmetic operation at full clock, 10^-12 joules.
    pub pj_per_flop: f64,
    /// Each byte streamed; 0 where the rate of arithmetic explains what was measured.
    pub pj_per_byte: f64,
    /// Energy of an operation at the slowest clock, as share of that at full clock.
    pub slow_share: f64,
    /// The CPU while it works.
    pub cpu_busy_w: f64,
    /// The CPU while it does not.
    pub cpu_idle_w: f64,
}

#[derive(Deserialize)]
struct File {
    costs: Costs,
}

impl Costs {
    /// Names of the devices whose costs are known.
    pub fn devices() -> impl Iterator<Item = &'static str> {
        DEVICES.iter().map(|(name, _)| *name)
    }

    /// The costs of a known device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] for a name that is not among [`Costs::devices`].
    pub fn of(device: &str) -> Result<Self, Error> {
        match DEVICES.iter().find(|(name, _)| *name == device) {
            Some((_, text)) => Self::parse(text),
            None => Err(Error::Device {
                name: device.to_owned(),
                known: Self::devices().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The `[costs]` table of a TOML file; other tables are not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Parse`] for text that is no such table, [`Error::Value`] for rates that are not
    /// positive and the like.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let File { costs } = toml::from_str(text)?;
        costs.check()?;
        Ok(costs)
    }

    /// Whether the values can be those of a device; call it after changing one by hand.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for the first that cannot.
    pub fn check(&self) -> Result<(), Error> {
        let (d, e, m) = (&self.dispatch, &self.engine, &self.memory);
        let (h, c, p) = (&self.host, &self.compile, &self.power);
        for (key, value) in [
            ("engine.peak_tflops", e.peak_tflops),
            ("engine.elementwise_g_per_s", e.elementwise_g_per_s),
            ("engine.pass_channels", e.pass_channels as f64),
            ("engine.tile_bytes", e.tile_bytes as f64),
            ("engine.slice_bytes", e.slice_bytes as f64),
            ("engine.cores", e.cores as f64),
            ("memory.weights_gb_per_s", m.weights_gb_per_s),
            ("memory.aliased_gb_per_s", m.aliased_gb_per_s),
            ("memory.activations_gb_per_s", m.activations_gb_per_s),
            ("host.convert_g_per_s", h.convert_g_per_s),
            ("host.copy_g_per_s", h.copy_g_per_s),
            ("host.norm_g_per_s", h.norm_g_per_s),
            ("host.gate_g_per_s", h.gate_g_per_s),
            ("host.loss_g_per_s", h.loss_g_per_s),
            ("host.matmul_tflops", h.matmul_tflops),
        ] {
            expect(key, value, value > 0.0 && value.is_finite(), "more than 0")?;
        }
        let (after, extra) =
            d.long_wait.as_ref().map_or((0.0, 0.0), |wait| (wait.after_ms, wait.extra_ms));
        let (at_128, exponent) =
            c.dual_engine.as_ref().map_or((0.0, 0.0), |dual| (dual.at_128_ms, dual.exponent));
        for (key, value) in [
            ("dispatch.alone_ms", d.alone_ms),
            ("dispatch.queued_ms", d.queued_ms),
            ("dispatch.long_wait.after_ms", after),
            ("dispatch.long_wait.extra_ms", extra),
            ("host.update_ns_per_param", h.update_ns_per_param),
            ("compile.program_ms", c.program_ms),
            ("compile.op_ms", c.op_ms),
            ("compile.dual_engine.at_128_ms", at_128),
            ("compile.dual_engine.exponent", exponent),
            ("power.powered_w", p.powered_w),
            ("power.pj_per_flop", p.pj_per_flop),
            ("power.pj_per_byte", p.pj_per_byte),
            ("power.cpu_busy_w", p.cpu_busy_w),
            ("power.cpu_idle_w", p.cpu_idle_w),
        ] {
            expect(key, value, value >= 0.0 && value.is_finite(), "0 or more")?;
        }
        if let Some(rates) = &self.loop_rates {
            let (ms, tflops) = (rates.dispatch_ms, rates.tflops);
            let key = "loop_rates.dispatch_ms";
            expect(key, ms, ms >= 0.0 && ms.is_finite(), "0 or more")?;
            let key = "loop_rates.tflops";
            expect(key, tflops, tflops > 0.0 && tflops.is_finite(), "more than 0")?;
        }
        for (key, value) in
            [("engine.pass_floor", e.pass_floor), ("power.slow_share", p.slow_share)]
        {
            expect(key, value, (0.0..=1.0).contains(&value), "between 0 and 1")?;
        }
        self.governor.check()
    }
}

/// A complaint about `key` unless `holds`.
pub(super) fn expect(
    key: &str,
    value: f64,
    holds: bool,
    expected: &'static str,
) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Value { key: key.to_owned(), value, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_can_be_read() {
        for device in Costs::devices() {
            if let Err(error) = Costs::of(device) {
                panic!("{device}: {error}");
            }
        }
        let error = Costs::of("m99").unwrap_err().to_string();
        assert!(error.contains("m99") && error.contains("m4-pro"), "{error}");
    }

    #[test]
    fn every_value_of_every_device_has_its_source() {
        for (device, text) in DEVICES {
            for line in text.lines() {
                let sourced = line.trim_start().starts_with(['#', '[']) || line.contains(" # ");
                assert!(sourced || line.is_empty(), "{device}: no source: {line}");
            }
        }
    }

    #[test]
    fn values_that_no_device_has_are_refused() {
        let text = DEVICES[3].1;
        for (from, to, says) in [
            ("peak_tflops = 15.5", "peak_tflops = 0.0", "peak_tflops"),
            ("peak_tflops = 15.5", "peak_tflops = nan", "peak_tflops"),
            ("alone_ms = 0.095", "alone_ms = -1.0", "alone_ms"),
            ("cores = 16", "cores = 0", "cores"),
            ("cores = 16", "cores = -1", "invalid value"),
            ("cores = 16", "hearts = 16", "hearts"),
            ("pass_floor = 0.25", "pass_floor = 2.0", "pass_floor"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from} is not in the file");
            let error = Costs::parse(&changed).unwrap_err().to_string();
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
