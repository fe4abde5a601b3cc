//! What is told of a plan, and as JSON.

use std::collections::BTreeMap;

use aneal_ane::clock::{Costs, Lane};
use aneal_mil::lint::Finding;
use aneal_model::ane::{Candidate, Content, Plan, Prediction, Surface};
use serde_json::{Value, json};

use crate::device;

/// A plan with its price.
pub(super) struct Report<'a> {
    /// The configuration's name.
    pub(super) model: &'a str,
    pub(super) profile: &'a str,
    /// The device whose costs were taken.
    pub(super) priced_as: &'a str,
    pub(super) tokens_per_update: usize,
    pub(super) micro_batches_per_update: usize,
    pub(super) plan: &'a Plan,
    pub(super) costs: &'a Costs,
    /// Whose rates dispatches are priced at.
    pub(super) rates: &'a str,
    /// Plans that were compared, if that is to be told.
    pub(super) candidates: &'a [Candidate],
    /// A micro-batch with its share of an update.
    pub(super) step: &'a Prediction,
    /// And without.
    pub(super) without_update: &'a Prediction,
    pub(super) objections: &'a [(&'static str, Finding)],
}

/// Keys of lanes.
const LANES: [(Lane, &str); 3] = [(Lane::Ane, "ane"), (Lane::Cpu, "cpu"), (Lane::Worker, "worker")];

impl Report<'_> {
    pub(super) fn json(&self) -> Value {
        let Self { plan, step, .. } = self;
        let host = LANES[1..].iter().flat_map(|(lane, key)| {
            let labels = step.timeline.by_label(*lane);
            labels
                .into_iter()
                .map(move |(work, ms)| json!({ "thread": key, "work": work, "predicted_ms": ms }))
        });
        let busy: BTreeMap<_, _> =
            LANES.map(|(lane, key)| (key, step.timeline.busy_ms(lane))).into();
        let compared = self.costs.compared.iter().map(|(what, known)| {
            json!({
                "what": what,
                "measurements": known.rows,
                "mean_absolute_percent": known.mean_absolute_percent,
                "mean_percent": known.mean_percent,
            })
        });
        let objections = device::broken(self.objections).into_iter().map(|(rule, kernels)| {
            json!({
                "rule": rule.id,
                "severity": rule.severity.to_string(),
                "message": rule.summary,
                "scope": rule.scope,
                "kernels": kernels,
            })
        });
        json!({
            "plan": plan.name,
            "config": self.model,
            "model": plan.model,
            "profile": self.profile,
            "priced_as": self.priced_as,
            "rates": self.rates,
            "sequences": plan.sequences,
            "seq_len": plan.seq_len,
            "tokens_per_micro_batch": plan.tokens(),
            "tokens_per_update": self.tokens_per_update,
            "micro_batches_per_update": self.micro_batches_per_update,
            "dispatches_per_micro_batch": plan.dispatches(),
            "predicted_ms_per_256_tokens": step.ms_per_256_tokens(),
            "predicted_ms_per_256_tokens_without_update": self.without_update.ms_per_256_tokens(),
            "predicted_tokens_per_s": step.tokens_per_s(),
            "predicted_watts": step.power.total_w(),
            "predicted_ane_watts": step.power.ane_w,
            "predicted_cpu_watts": step.power.cpu_w,
            "predicted_tokens_per_joule": step.tokens_per_joule(),
            "predicted_micro_batch_ms": step.timeline.total_ms(),
            "predicted_busy_ms": busy,
            "predicted_clock_share": step.clock,
            "predicted_compile_ms": step.compile_ms,
            "ane_flops_per_micro_batch": step.flops(),
            "surface_bytes": plan.surface_bytes(),
            "kernels": self.kernels(),
            "candidates": self.candidates(),
            "host": host.collect::<Vec<_>>(),
            "clock_compared": compared.collect::<Vec<_>>(),
            "objections": objections.collect::<Vec<_>>(),
        })
    }

    fn candidates(&self) -> Vec<Value> {
        let of = |candidate: &Candidate| {
            let Candidate { name, sequences, outcome } = candidate;
            match outcome {
                Ok(choice) => json!({
                    "plan": name,
                    "sequences": sequences,
                    "predicted_ms_per_256_tokens": choice.prediction.ms_per_256_tokens(),
                    "predicted_watts": choice.prediction.power.total_w(),
                    "dispatches_per_micro_batch": choice.plan.dispatches(),
                    "surface_bytes": choice.plan.surface_bytes(),
                }),
                Err(reason) => json!({
                    "plan": name,
                    "sequences": sequences,
                    "refused": reason.to_string(),
                }),
            }
        };
        self.candidates.iter().map(of).collect()
    }

    fn kernels(&self) -> Vec<Value> {
        let priced = self.plan.kernels.iter().zip(&self.step.kernels);
        let kernels = priced.map(|(kernel, priced)| {
            let price = &priced.price;
            json!({
                "name": kernel.name,
                "dispatches": priced.dispatches,
                "predicted_ms": price.total_ms(),
                "predicted_overhead_ms": price.overhead_ms,
                "predicted_product_ms": price.product_ms,
                "predicted_elementwise_ms": price.elementwise_ms,
                "predicted_weights_ms": price.weights_ms,
                "predicted_activations_ms": price.activations_ms,
                "predicted_surfaces_ms": priced.surfaces_ms,
                "predicted_beside_ms": priced.beside_ms,
                "flops": priced.work.flops(),
                "inputs": surfaces(&kernel.inputs),
                "outputs": surfaces(&kernel.outputs),
            })
        });
        kernels.collect()
    }
}

fn surfaces(surfaces: &[Surface]) -> Vec<Value> {
    let of = |surface: &Surface| {
        let blocks = surface.blocks.iter().map(|block| {
            let (content, transposed) = match block.content {
                Content::Activation(activation) => (format!("{activation:?}"), false),
                Content::Weight(weight) => (weight.name.to_owned(), weight.transposed),
                Content::Gradient(weight) => (format!("gradient of {}", weight.name), false),
            };
            json!({
                "rows": [block.rows.start, block.rows.end],
                "columns": [block.columns.start, block.columns.end],
                "content": content,
                "transposed": transposed,
            })
        });
        json!({
            "name": surface.name,
            "rows": surface.rows,
            "columns": surface.columns,
            "bytes": surface.bytes(),
            "passage": format!("{:?}", surface.passage).to_lowercase(),
            "blocks": blocks.collect::<Vec<_>>(),
        })
    };
    surfaces.iter().map(of).collect()
}
