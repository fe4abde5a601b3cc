//! A plan: the programs of a model, and the order of a step.

use aneal_ane::Profile;
use aneal_mil::Program;
use aneal_mil::lint::{self, Finding, Severity};

use super::form::Form;
use super::{Activation, HostOp, KernelSpec, Passage, Surface, fused, ten_kernel};
use crate::{Error, ModelConfig, Result};

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The model.
    pub model: &'a ModelConfig,
    /// The device, whose rules a plan keeps.
    pub profile: &'a Profile,
    /// Sequences of a micro-batch.
    pub sequences: usize,
    /// Tokens of each.
    pub seq_len: usize,
}

/// Programs, and a step made of them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One of [`Plan::NAMES`].
    pub name: &'static str,
    /// The model it is for.
    pub model: ModelConfig,
    /// Sequences of a micro-batch, all of them in each dispatch.
    pub sequences: usize,
    /// Tokens of each.
    pub seq_len: usize,
    /// What multiplies the gradients of weights.
    pub dw_on: DwOn,
    /// The programs; names differ.
    pub kernels: Vec<KernelSpec>,
    /// A micro-batch forward and backward, then the update, in order.
    pub sections: Vec<Section>,
}

/// Where gradients of weights, products over all tokens of a micro-batch, are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DwOn {
    /// By the programs that compute what is multiplied: sums are rounded to fp16 (C61), and no partial
    /// sum may reach 2^15 (C64).
    Engine,
    /// By the CPU, in fp32, beside the engine.
    Worker,
}

/// Steps that are run once, or for each layer.
#[derive(Clone, Debug)]
pub struct Section {
    /// How often.
    pub order: Order,
    /// Each waits for the one before it on the same thread.
    pub steps: Vec<Step>,
}

/// How often the steps of a section are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Once a micro-batch.
    Once,
    /// For each layer, first to last.
    Layers,
    /// For each layer, last to first.
    LayersBackwards,
    /// Once an update.
    Update,
}

/// A piece of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Fill the surfaces of this program of [`Plan::kernels`], run it, read its outputs.
    Dispatch(usize),
    /// On the thread that feeds the engine.
    Host(HostOp),
    /// Beside it, from when the steps before have ended; only an update waits for it.
    Worker(HostOp),
}

impl Plan {
    /// The plans there are.
    pub const NAMES: [&'static str; 5] = {
        let [a, b, c, d] = fused::VARIANTS;
        [ten_kernel::NAME, a.name, b.name, c.name, d.name]
    };

    /// The plan of that name.
    ///
    /// - `ten-kernel`: that of the published trainers (section 7.1). One sequence a dispatch; three
    ///   programs forward and seven backward a layer, more where a device's rules need it.
    /// - `fused`: two programs forward and two backward a layer, any number of sequences a dispatch,
    ///   weights as inputs of their own, the residual stream never on the CPU; gradients of weights
    ///   on the engine.
    /// - `fused-worker`: the same, gradients of weights on the CPU, beside the engine.
    /// - `fused-kept`, `fused-kept-worker`: as these, but H1 and H3 are kept from the forward pass and
    ///   not computed again.
    ///
    /// # Errors
    /// [`Error::UnknownPlan`]; [`Error::Config`] and [`Error::SequenceTooLong`] for what the model
    /// cannot be; [`Error::Plan`] for what the plan or the device cannot run.
    pub fn named(name: &str, target: &Target<'_>) -> Result<Self> {
        target.model.validate()?;
        let (found, limit) = (target.seq_len, target.model.seq_len);
        if found > limit {
            return Err(Error::SequenceTooLong { found, limit });
        }
        let refuse = |reason: String| Error::Plan { plan: name.to_owned(), reason };
        if found == 0 || target.sequences == 0 {
            return Err(refuse(
                "a micro-batch needs at least one sequence of one token".to_owned(),
            ));
        }
        let form = Form::of(target.profile, target.seq_len);
        let plan = match name {
            ten_kernel::NAME if target.sequences != 1 => {
                let found = target.sequences;
                let rule = "it takes one sequence a dispatch, so its micro-batch is 1";
                return Err(refuse(format!("{found} sequences asked for; {rule}")));
            }
            ten_kernel::NAME => ten_kernel::plan(target, form)?,
            _ => match fused::VARIANTS.into_iter().find(|variant| variant.name == name) {
                Some(variant) => fused::plan(target, form, variant)?,
                None => {
                    let known = Self::NAMES.join(", ");
                    return Err(Error::UnknownPlan { name: name.to_owned(), known });
                }
            },
        };
        let objections = plan.objections(target.profile);
        match objections.iter().find(|(_, found)| found.rule.severity == Severity::Refused) {
            Some((kernel, Finding { rule, found, .. })) => Err(refuse(format!(
                "program {kernel} cannot run on {}: {found}, but {} ({}); choose another device, \
                 plan, or size",
                target.profile.name, rule.summary, rule.id
            ))),
            None => Ok(plan),
        }
    }

    /// What a device's rules say of each program, by its name.
    #[must_use]
    pub fn objections(&self, profile: &Profile) -> Vec<(&'static str, Finding)> {
        let rules = profile.rule_set();
        let of = |kernel: &KernelSpec| {
            let program = Program::new(vec![kernel.function.clone()]);
            let name = kernel.name;
            lint::check(&program, &rules).into_iter().map(move |finding| (name, finding))
        };
        self.kernels.iter().flat_map(of).collect()
    }

    /// Tokens of a micro-batch.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.sequences * self.seq_len
    }

    /// Bytes of all surfaces: inputs with weights, and what is linked or read beside the engine, once
    /// a layer. What is linked counts where it is an output, and what the CPU writes first besides.
    #[must_use]
    pub fn surface_bytes(&self) -> usize {
        let layers = self.model.layers;
        let total = |surfaces: &mut dyn Iterator<Item = &Surface>| -> usize {
            surfaces.map(|surface| surface.copies(layers) * surface.bytes()).sum()
        };
        let inputs = || self.kernels.iter().flat_map(|kernel| &kernel.inputs);
        let mut outputs = self.kernels.iter().flat_map(|kernel| &kernel.outputs);
        let linked = || inputs().filter(|surface| surface.passage == Passage::Linked);
        // The stream of the first layer, and its gradient behind the last.
        let ends = [Activation::Stream, Activation::NextStreamGrad].map(|end| {
            let mut found =
                linked().filter(|surface| surface.activations().any(|(held, _)| held == end));
            found.next().map_or(0, Surface::bytes)
        });
        total(&mut inputs().filter(|surface| surface.passage != Passage::Linked))
            + total(&mut outputs)
            + ends.iter().sum::<usize>()
    }

    /// Dispatches of a micro-batch.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        (0..self.kernels.len()).map(|kernel| self.dispatches_of(kernel)).sum()
    }

    /// How often a micro-batch dispatches one of [`Plan::kernels`].
    #[must_use]
    pub fn dispatches_of(&self, kernel: usize) -> usize {
        let of = |section: &Section| {
            let steps = section.steps.iter().filter(|step| **step == Step::Dispatch(kernel));
            steps.count() * self.times(section.order)
        };
        self.sections.iter().map(of).sum()
    }

    /// How often the steps of a section are run for a micro-batch; those of an update count once.
    pub(super) fn times(&self, order: Order) -> usize {
        match order {
            Order::Once | Order::Update => 1,
            Order::Layers | Order::LayersBackwards => self.model.layers,
        }
    }
}
