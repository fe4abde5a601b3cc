//! The training step on the engine: walks a [`Plan`] over an [`Engine`], real or emulated.
//!
//! Programs are compiled and surfaces made once. Weights go into their surfaces when they are staged;
//! before a dispatch its activations are converted into surfaces, behind it its outputs are
//! converted back. What the CPU does between dispatches is f32, and what adds to gradients of
//! parameters runs beside the engine ([`beside`]).
//!
//! A batch is cut into micro-batches of the plan's size. A sequence that is shorter than the plan's is
//! filled up behind its end: attention is causal, so that nothing before it changes, and tokens
//! without a loss have no gradient.
//!
//! Gradients go through fp16, so inside a micro-batch they are those of `scale` times its own mean
//! loss (C58), however many micro-batches there are: each gets its share of the batch only when
//! sums are made. What fp16 cannot hold makes losses or gradients NaN, for the caller to skip.

mod backward;
mod beside;
mod convert;
mod forward;
mod head;
mod pass;
mod program;
mod tensors;
mod weights;

use std::sync::Arc;
use std::time::Instant;

use aneal_ane::engine::Engine;
use aneal_kernels::matmul::Kernel;
use aneal_kernels::rope;

use super::{Content, Passage, Plan};
use crate::cpu::WeightGradOperands;
use crate::{Backend, Batch, Error, Grads, Op, Params, Profile, Result};
use beside::{Beside, Sums};
use pass::{Machine, Pass, Passing, Purpose, State};
use program::Program;
use weights::Weights;

/// The engine as a [`Backend`].
pub struct AneBackend {
    plan: Plan,
    engine: Arc<dyn Engine>,
    programs: Vec<Program>,
    passing: Passing,
    weights: Weights,
    angles: rope::Channels,
    state: State,
    operands: WeightGradOperands<f32>,
    /// Of the work beside the engine.
    profile: Profile,
    /// Weights that fp16 cannot hold.
    staged_beyond: u64,
    /// See [`AneBackend::beyond_range`].
    beyond: u64,
}

/// Seconds of the thread that feeds the engine, and of the work beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Programs running.
    pub engine_s: f64,
    /// Surfaces filled and read.
    pub surfaces_s: f64,
    /// The CPU's operations between programs.
    pub host_s: f64,
    /// Waiting for the work beside the engine when everything else was done.
    pub waiting_s: f64,
    /// Of that work, on whatever threads it found.
    pub beside_s: f64,
}

/// Some sequences of a batch, as long as the plan's.
struct MicroBatch {
    /// `[B, S]`; behind the end of a shorter sequence, and for one that is missing, token 0.
    inputs: Vec<u32>,
    /// Which of the inputs have a loss, ascending.
    rows: Vec<usize>,
    /// One for each of them.
    targets: Vec<u32>,
}

impl AneBackend {
    /// Compiles a plan's programs on an engine, and makes their surfaces. Parameters are zero until
    /// staged.
    ///
    /// # Errors
    /// [`Error::Engine`] for what the engine refuses, [`Error::Plan`] for a plan that does not hold
    /// together.
    pub fn new(plan: Plan, engine: Arc<dyn Engine>) -> Result<Self> {
        let model = &plan.model;
        check(&plan)?;
        let programs: Vec<Program> = plan
            .kernels
            .iter()
            .map(|spec| Program::new(&plan, spec, &*engine))
            .collect::<Result<_>>()?;
        let mut passing = Passing::new();
        for (at, program) in programs.iter().enumerate() {
            for (output, port) in program.outputs.iter().enumerate() {
                for (place, content) in &port.blocks {
                    if let Content::Activation(activation) = content
                        && activation.passes_through()
                    {
                        passing.insert(*activation, (at, output, *place));
                    }
                }
            }
        }
        let mut backend = Self {
            weights: Weights::new(model),
            angles: rope::Channels::new(plan.seq_len, model.head_dim, model.rope_theta),
            state: State::new(&plan),
            operands: WeightGradOperands::new(Kernel::best()),
            profile: Profile::default(),
            staged_beyond: 0,
            beyond: 0,
            plan,
            engine,
            programs,
            passing,
        };
        backend.stage(&Params::zeros(&backend.weights.layout.clone()))?;
        Ok(backend)
    }

    /// The plan that it walks.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many values of the last step's surfaces fp16 could not hold; if any, its gradients are NaN.
    #[must_use]
    pub fn beyond_range(&self) -> u64 {
        self.beyond
    }

    /// Where the time went since this was asked last.
    pub fn take_times(&mut self) -> Times {
        let (times, profile) =
            (std::mem::take(&mut self.state.times), std::mem::take(&mut self.profile));
        let beside_s = Op::ALL.iter().map(|&op| profile.entry(op).seconds).sum();
        Times { beside_s, ..times }
    }

    /// Runs all dispatches of a micro-batch on what the surfaces hold since the last step, and nothing
    /// else: what the engine alone takes.
    ///
    /// # Errors
    /// [`Error::Engine`].
    pub fn dispatch_all(&self) -> Result<()> {
        for (place, program) in self.programs.iter().enumerate() {
            for at in 0..self.plan.dispatches_of(place) {
                program.evaluate(at % self.plan.model.layers, &*self.engine)?;
            }
        }
        Ok(())
    }

    /// Refuses batches that the plan has no room for.
    fn check(&self, batch: &Batch) -> Result<()> {
        batch.check(&self.plan.model)?;
        let (found, limit) = (batch.seq_len(), self.plan.seq_len);
        if found > limit {
            return Err(Error::Plan {
                plan: self.plan.name.to_owned(),
                reason: format!(
                    "a sequence of {found} tokens is longer than the {limit} that its programs take; \
                     make the plan for longer ones"
                ),
            });
        }
        Ok(())
    }

    /// Cuts a batch into micro-batches in which the last `scored` tokens of every sequence have a loss.
    fn micro_batches(&self, batch: &Batch, scored: usize) -> Vec<MicroBatch> {
        let (length, seq_len) = (batch.seq_len(), self.plan.seq_len);
        let rows: Vec<&[u32]> = batch.rows().collect();
        let micro_batch = |run: &[&[u32]]| {
            let inputs = vec![0; self.plan.tokens()];
            let mut micro = MicroBatch { inputs, rows: Vec::new(), targets: Vec::new() };
            for (at, row) in run.iter().enumerate() {
                let start = at * seq_len;
                let end = start + length;
                micro.inputs[start..end].copy_from_slice(&row[..length]);
                micro.rows.extend(end - scored..end);
                micro.targets.extend_from_slice(&row[length - scored + 1..]);
            }
            micro
        };
        rows.chunks(self.plan.sequences).map(micro_batch).collect()
    }

    /// Walks the plan forward and backward with one micro-batch; how many values fp16 could not hold
    /// on the way. Gradients are `scale` times those of the batch, of which this is a `share`.
    fn train(
        &mut self,
        micro: &MicroBatch,
        scale: f32,
        share: f32,
        grads: &mut Grads,
    ) -> Result<u64> {
        let purpose = Purpose::Train { scale, share };
        let beyond = self.staged_beyond;
        let Self { plan, engine, programs, passing, weights, angles, .. } = self;
        let machine = Machine { plan, engine: &**engine, programs, passing, weights, angles };
        let Self { state, operands, profile, .. } = self;
        state.beyond = beyond;
        let beside = Beside::new(Sums { grads, operands, profile });
        let beside = &beside;
        let mut walked = Instant::now();
        rayon::in_place_scope(|scope| {
            let push = |job| {
                beside.push(job);
                scope.spawn(move |_| beside.work());
            };
            let result = Pass { machine, micro, purpose, state, beside: &push }.run();
            walked = Instant::now();
            result
        })?;
        beside.work();
        state.times.waiting_s += walked.elapsed().as_secs_f64();
        Ok(state.beyond)
    }

    /// Walks the plan up to the losses of one micro-batch.
    fn score(&mut self, micro: &MicroBatch) -> Result<u64> {
        let beyond = self.staged_beyond;
        let Self { plan, engine, programs, passing, weights, angles, state, .. } = self;
        let machine = Machine { plan, engine: &**engine, programs, passing, weights, angles };
        state.beyond = beyond;
        Pass { machine, micro, purpose: Purpose::Score, state, beside: &|_| {} }.run()?;
        Ok(state.beyond)
    }
}

/// Whether the plan's blocks are as large as what they hold.
fn check(plan: &Plan) -> Result<()> {
    let columns = plan.tokens();
    for kernel in &plan.kernels {
        for surface in kernel.inputs.iter().chain(&kernel.outputs) {
            if surface.passage != Passage::Converted {
                let reason = format!(
                    "program {} shares surfaces with others, which can be priced but not run yet; \
                     choose ten-kernel",
                    kernel.name
                );
                return Err(Error::Plan { plan: plan.name.to_owned(), reason });
            }
            for block in &surface.blocks {
                let Content::Activation(activation) = block.content else { continue };
                let rows = activation.rows(&plan.model, plan.seq_len);
                if (block.rows.len(), block.columns.len()) != (rows, columns) {
                    let reason = format!(
                        "{activation:?} of program {} is not {rows} rows of {columns}",
                        kernel.name
                    );
                    return Err(Error::Plan { plan: plan.name.to_owned(), reason });
                }
            }
        }
    }
    Ok(())
}

impl Backend for AneBackend {
    fn describe(&self) -> String {
        let Plan { name, sequences, seq_len, kernels, .. } = &self.plan;
        format!(
            "{}, plan {name}: {} programs, {sequences} x {seq_len} tokens a dispatch; cpu f32, {} \
             threads",
            self.engine.describe(),
            kernels.len(),
            aneal_kernels::threads()
        )
    }

    fn stage(&mut self, params: &Params) -> Result<()> {
        if **params.layout() != *self.weights.layout {
            return Err(Error::Weights("they were laid out for another model".to_owned()));
        }
        self.weights.stage(self.plan.model.vocab_size, params);
        self.staged_beyond = 0;
        for program in &self.programs {
            self.staged_beyond += program.stage(params, &*self.engine)?;
        }
        Ok(())
    }

    fn forward_backward(&mut self, batch: &Batch, scale: f32, grads: &mut Grads) -> Result<f64> {
        self.check(batch)?;
        if **grads.layout() != *self.weights.layout {
            return Err(Error::Weights("gradients were laid out for another model".to_owned()));
        }
        let total = batch.targets();
        let (mut sum, mut beyond) = (0.0, 0);
        for micro in self.micro_batches(batch, batch.seq_len()) {
            let share = micro.rows.len() as f32 / total as f32;
            beyond += self.train(&micro, scale, share, grads)?;
            let losses = &self.state.head.losses;
            sum += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        }
        if beyond > 0 {
            grads.values_mut().fill(f32::NAN);
        }
        self.beyond = beyond;
        Ok(sum / total as f64)
    }

    fn token_losses(&mut self, batch: &Batch, scored: usize, losses: &mut [f32]) -> Result<()> {
        self.check(batch)?;
        assert!(scored <= batch.seq_len(), "{scored} scored targets of {}", batch.seq_len());
        assert_eq!(losses.len(), batch.sequences() * scored, "one loss a scored target");
        if scored == 0 {
            return Ok(());
        }
        let mut rest = losses;
        self.beyond = 0;
        for micro in self.micro_batches(batch, scored) {
            self.beyond += self.score(&micro)?;
            let (now, later) = std::mem::take(&mut rest).split_at_mut(micro.rows.len());
            now.copy_from_slice(&self.state.head.losses);
            rest = later;
        }
        Ok(())
    }
}
