//! The training step on the CPU, by hand-written forward and backward passes.
//!
//! Operands of matrix multiplies are f32 or bf16 ([`Precision`]); everything else is f32. A batch is
//! cut into micro-batches so that activations stay within a fixed amount of memory whatever the
//! batch; the cut depends on the model and the precision alone, so it cannot change results between
//! machines.

use aneal_kernels::matmul::Kernel;
use aneal_kernels::{Element, bf16, rope};

use crate::{Backend, Batch, Error, Grads, ModelConfig, Params, Precision, Profile, Result};

mod buffer;
mod classifier;
mod decode;
mod layer;
mod weight_grads;
mod weights;
mod workspace;

pub use decode::Decoder;
pub(crate) use weight_grads::WeightGradOperands;
pub(crate) use weights::Weight;
use weights::Weights;
use workspace::Workspace;

/// Rows of a micro-batch are not worth more than this: matrices this tall already run at full speed.
const MICRO_BATCH_TOKENS: usize = 2560;
/// Bytes that the activations of a micro-batch may take, unless one sequence needs more.
const MICRO_BATCH_BYTES: usize = 512 << 20;

/// The CPU as a [`Backend`].
#[derive(Debug)]
pub struct Cpu(Typed);

#[derive(Debug)]
enum Typed {
    F32(Engine<f32>),
    Bf16(Engine<bf16>),
}

/// Evaluates an expression for the engine of either type.
macro_rules! with_engine {
    ($cpu:expr, $engine:ident => $body:expr) => {
        match $cpu {
            Typed::F32($engine) => $body,
            Typed::Bf16($engine) => $body,
        }
    };
}

impl Cpu {
    /// A backend for one model; parameters are zero until staged.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is not valid.
    pub fn new(config: &ModelConfig, precision: Precision) -> Result<Self> {
        config.validate()?;
        Ok(Self(match precision {
            Precision::F32 => Typed::F32(Engine::new(config)),
            Precision::Bf16 => Typed::Bf16(Engine::new(config)),
        }))
    }

    /// Where the time went since this was asked last.
    pub fn take_profile(&mut self) -> Profile {
        with_engine!(&mut self.0, engine => std::mem::take(&mut engine.workspace.profile))
    }
}

/// The backend for one type of operands.
#[derive(Debug)]
struct Engine<E: Element> {
    config: ModelConfig,
    weights: Weights<E>,
    rope: rope::Table,
    workspace: Workspace<E>,
    /// Sequences of the model's full length that fit a micro-batch.
    micro_batch: usize,
}

impl<E: Element> Engine<E> {
    fn new(config: &ModelConfig) -> Self {
        let token_bytes = Workspace::<E>::bytes_per_token(config);
        let tokens = (MICRO_BATCH_BYTES / token_bytes).min(MICRO_BATCH_TOKENS);
        let mut weights = Weights::new(config, Kernel::best());
        weights.stage(config, &Params::zeros(&crate::Layout::new(config)));
        Self {
            config: config.clone(),
            weights,
            rope: rope::Table::new(config.seq_len, config.head_dim, config.rope_theta),
            workspace: Workspace::new(Kernel::best()),
            micro_batch: (tokens / config.seq_len).max(1),
        }
    }

    fn describe(&self) -> String {
        format!(
            "cpu {}, {} threads, {} kernels, micro-batch {} sequences",
            E::NAME,
            aneal_kernels::threads(),
            Kernel::<E>::best().level().name(),
            self.micro_batch,
        )
    }

    fn stage(&mut self, params: &Params) -> Result<()> {
        if **params.layout() != *crate::Layout::new(&self.config) {
            return Err(Error::Weights("they were laid out for another model".to_owned()));
        }
        self.weights.stage(&self.config, params);
        Ok(())
    }

    fn forward_backward(&mut self, batch: &Batch, scale: f32, grads: &mut Grads) -> Result<f64> {
        batch.check(&self.config)?;
        let total = batch.targets();
        let mut sum = 0.0;
        for micro in self.micro_batches(batch) {
            let Self { config, weights, rope, workspace, .. } = self;
            let pass = layer::Pass { config, weights, rope, micro: &micro };
            workspace.fit(config, micro.tokens(), config.layers);
            pass.forward(workspace);
            sum += pass.loss_backward(workspace, scale / total as f32, grads);
            pass.backward(workspace, grads);
        }
        Ok(sum / total as f64)
    }

    fn token_losses(&mut self, batch: &Batch, scored: usize, losses: &mut [f32]) -> Result<()> {
        batch.check(&self.config)?;
        assert!(scored <= batch.seq_len(), "{scored} scored targets of {}", batch.seq_len());
        assert_eq!(losses.len(), batch.sequences() * scored, "one loss a scored target");
        if scored == 0 {
            return Ok(());
        }
        let mut rest = losses;
        for micro in self.micro_batches(batch) {
            let Self { config, weights, rope, workspace, .. } = self;
            let tail = micro.tail(scored);
            let pass = |micro| layer::Pass { config, weights, rope, micro };
            // Nothing is kept for a backward pass, so all layers share one set of buffers.
            workspace.fit(config, micro.tokens(), 1);
            pass(&micro).forward_to(&pass(&tail), workspace);
            let (head, others) = std::mem::take(&mut rest).split_at_mut(tail.tokens());
            pass(&tail).losses(workspace, head);
            rest = others;
        }
        Ok(())
    }

    /// Cuts a batch into near-equal runs of sequences, each of inputs, targets `[b, S]`.
    fn micro_batches(&self, batch: &Batch) -> Vec<MicroBatch> {
        let rows: Vec<&[u32]> = batch.rows().collect();
        let limit = self.micro_batch * self.config.seq_len / batch.seq_len();
        let runs = rows.len().div_ceil(limit);
        rows.chunks(rows.len().div_ceil(runs))
            .map(|run| MicroBatch {
                inputs: run.iter().flat_map(|row| &row[..row.len() - 1]).copied().collect(),
                targets: run.iter().flat_map(|row| &row[1..]).copied().collect(),
                sequences: run.len(),
                seq_len: batch.seq_len(),
            })
            .collect()
    }
}

/// Some sequences of a batch, inputs and targets apart.
#[derive(Debug)]
struct MicroBatch {
    /// `[b, S]`
    inputs: Vec<u32>,
    /// `[b, S]`
    targets: Vec<u32>,
    sequences: usize,
    seq_len: usize,
}

impl MicroBatch {
    fn tokens(&self) -> usize {
        self.inputs.len()
    }

    /// The last `kept` tokens of every sequence.
    fn tail(&self, kept: usize) -> MicroBatch {
        let tails = |tokens: &[u32]| {
            let sequences = tokens.chunks_exact(self.seq_len);
            sequences.flat_map(|all| &all[self.seq_len - kept..]).copied().collect()
        };
        MicroBatch {
            inputs: tails(&self.inputs),
            targets: tails(&self.targets),
            sequences: self.sequences,
            seq_len: kept,
        }
    }
}

impl Backend for Cpu {
    fn describe(&self) -> String {
        with_engine!(&self.0, engine => engine.describe())
    }

    fn stage(&mut self, params: &Params) -> Result<()> {
        with_engine!(&mut self.0, engine => engine.stage(params))
    }

    fn forward_backward(&mut self, batch: &Batch, scale: f32, grads: &mut Grads) -> Result<f64> {
        with_engine!(&mut self.0, engine => engine.forward_backward(batch, scale, grads))
    }

    fn token_losses(&mut self, batch: &Batch, scored: usize, losses: &mut [f32]) -> Result<()> {
        with_engine!(&mut self.0, engine => engine.token_losses(batch, scored, losses))
    }
}
