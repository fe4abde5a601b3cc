//! A step (forward and backward) and an update (a step and what changes the parameters).

use std::time::Instant;

use aneal_model::cpu::Cpu;
use aneal_model::{Backend, Batch, Grads, Op, Params, init};
use serde::Serialize;

use super::{SEED, Seconds, Subject};
use crate::Result;
use crate::config::AdamWConfig;
use crate::energy::EnergyMeter;
use crate::loss_scale::LossScaler;
use crate::optimizer::AdamW;
use crate::update::{Learner, Settings};

/// Forward and backward over one batch.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Of one.
    pub seconds: Seconds,
    /// Training tokens a second.
    pub train_step_tokens_per_s: f64,
    /// 10^9 multiplications and additions of the model a second
    /// ([`train_flops_per_token`](aneal_model::ModelConfig::train_flops_per_token)).
    pub train_step_gflops: f64,
    /// Where the time goes, on average.
    pub ops: Vec<OpTime>,
}

/// One operation of a step.
#[derive(Clone, Debug, Serialize)]
pub struct OpTime {
    /// Which.
    pub op: &'static str,
    /// Seconds of one step.
    pub seconds: f64,
    /// Part of the step's time.
    pub share: f64,
    /// 10^9 multiplications and additions a second, of operations that are mostly products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gflops: Option<f64>,
}

/// One whole update.
#[derive(Clone, Debug, Serialize)]
pub struct Update {
    /// Of one.
    pub seconds: Seconds,
    /// Training tokens a second.
    pub train_update_tokens_per_s: f64,
    /// 10^9 multiplications and additions of the model a second.
    pub train_update_gflops: f64,
    /// Part of the time that goes to clearing gradients, their norm and the optimiser.
    pub optimizer_share: f64,
    /// Part of the time that goes to packing the new parameters.
    pub staging_share: f64,
    /// Where the processor counts them itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joules_per_update: Option<f64>,
}

/// Measures steps.
///
/// # Errors
/// Sizes that cannot be.
pub fn step(subject: &Subject) -> Result<Step> {
    subject.validate()?;
    let batch = subject.batch()?;
    let params = init(&subject.model, SEED);
    let mut cpu = Cpu::new(&subject.model, subject.precision)?;
    cpu.stage(&params)?;
    let mut grads = Grads::zeros(params.layout());
    let mut first = true;
    let seconds = subject.time(|| {
        cpu.forward_backward(&batch, 1.0, &mut grads)?;
        if std::mem::take(&mut first) {
            // The one that does not count.
            cpu.take_profile();
        }
        Ok(())
    })?;
    let profile = cpu.take_profile();
    let counted = subject.repeats as f64;
    let total: f64 = Op::ALL.iter().map(|&op| profile.entry(op).seconds).sum();
    let ops = Op::ALL.map(|op| {
        let entry = profile.entry(op);
        OpTime {
            op: op.name(),
            seconds: entry.seconds / counted,
            share: entry.seconds / total,
            gflops: (entry.flops > 0.0).then(|| entry.flops / entry.seconds / 1e9),
        }
    });
    let tokens_per_s = subject.batch_tokens as f64 / seconds.median;
    Ok(Step {
        seconds,
        train_step_tokens_per_s: tokens_per_s,
        train_step_gflops: tokens_per_s * flops_per_token(subject) / 1e9,
        ops: ops.into(),
    })
}

/// Measures updates.
///
/// # Errors
/// Sizes that cannot be.
pub fn update(subject: &Subject) -> Result<Update> {
    subject.validate()?;
    let batch = subject.batch()?;
    let params = init(&subject.model, SEED);
    let mut cpu = Cpu::new(&subject.model, subject.precision)?;
    cpu.stage(&params)?;
    let adamw = AdamWConfig::with_lr(1e-4);
    let grad_clip = adamw.grad_clip;
    let mut learner = Learner {
        grads: Grads::zeros(params.layout()),
        optimizer: Box::new(AdamW::new(adamw, params.layout())),
        params,
    };
    let mut timed = Timed { inner: &mut cpu, stepping: 0.0, staging: 0.0 };
    let mut loss_scale = LossScaler::new(1.0);
    let mut made = 0;
    // Since the end of the first update, which does not count.
    let mut counted = None;
    let seconds = subject.time(|| {
        let settings = Settings { step: made, multiplier: 1.0, grad_clip, loss_scale_growth: 0 };
        learner.update(&mut timed, &batch, &mut loss_scale, settings)?;
        made += 1;
        if made == 1 {
            (timed.stepping, timed.staging) = (0.0, 0.0);
            counted = Some((Instant::now(), EnergyMeter::start()));
        }
        Ok(())
    })?;
    let (total, joules) = counted.map_or((f64::NAN, None), |(start, meter)| {
        (start.elapsed().as_secs_f64(), meter.and_then(|meter| meter.joules()))
    });
    let tokens_per_s = subject.batch_tokens as f64 / seconds.median;
    Ok(Update {
        seconds,
        train_update_tokens_per_s: tokens_per_s,
        train_update_gflops: tokens_per_s * flops_per_token(subject) / 1e9,
        optimizer_share: 1.0 - (timed.stepping + timed.staging) / total,
        staging_share: timed.staging / total,
        joules_per_update: joules.map(|joules| joules / subject.repeats as f64),
    })
}

fn flops_per_token(subject: &Subject) -> f64 {
    subject.model.train_flops_per_token(subject.model.seq_len)
}

/// A backend that knows how long it was at work.
struct Timed<'a> {
    inner: &'a mut dyn Backend,
    stepping: f64,
    staging: f64,
}

impl Backend for Timed<'_> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn stage(&mut self, params: &Params) -> aneal_model::Result<()> {
        let start = Instant::now();
        let result = self.inner.stage(params);
        self.staging += start.elapsed().as_secs_f64();
        result
    }

    fn forward_backward(
        &mut self,
        batch: &Batch,
        scale: f32,
        grads: &mut Grads,
    ) -> aneal_model::Result<f64> {
        let start = Instant::now();
        let result = self.inner.forward_backward(batch, scale, grads);
        self.stepping += start.elapsed().as_secs_f64();
        result
    }

    fn token_losses(
        &mut self,
        batch: &Batch,
        scored: usize,
        losses: &mut [f32],
    ) -> aneal_model::Result<()> {
        self.inner.token_losses(batch, scored, losses)
    }
}
