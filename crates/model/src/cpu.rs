//! The training step on the CPU, in f32, by hand-written forward and backward passes.
//!
//! A batch is cut into micro-batches so that activations stay within a fixed amount of memory
//! whatever the batch; the cut depends on the model alone, so it cannot change results between
//! machines.

use aneal_kernels::simd::Level;
use aneal_kernels::{matmul, rope};

use crate::{Backend, Batch, Error, Grads, ModelConfig, Params, Result};

mod classifier;
mod decode;
mod layer;
mod workspace;

pub use decode::Decoder;
use workspace::Workspace;

/// Rows of a micro-batch are not worth more than this: matrices this tall already run at full speed.
const MICRO_BATCH_TOKENS: usize = 2048;
/// Bytes that the activations of a micro-batch may take, unless one sequence needs more.
const MICRO_BATCH_BYTES: usize = 512 << 20;

/// The CPU as a [`Backend`].
#[derive(Debug)]
pub struct Cpu {
    config: ModelConfig,
    params: Params,
    rope: rope::Table,
    workspace: Workspace,
    /// Sequences of the model's full length that fit a micro-batch.
    micro_batch: usize,
}

impl Cpu {
    /// A backend for one model; parameters are zero until staged.
    ///
    /// # Errors
    /// [`Error::Config`] if the configuration is not valid.
    pub fn new(config: &ModelConfig) -> Result<Self> {
        config.validate()?;
        let token_bytes = Workspace::bytes_per_token(config);
        let tokens = (MICRO_BATCH_BYTES / token_bytes).min(MICRO_BATCH_TOKENS);
        Ok(Self {
            config: config.clone(),
            params: Params::zeros(&crate::Layout::new(config)),
            rope: rope::Table::new(config.seq_len, config.head_dim, config.rope_theta),
            workspace: Workspace::default(),
            micro_batch: (tokens / config.seq_len).max(1),
        })
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
}

impl Backend for Cpu {
    fn describe(&self) -> String {
        format!(
            "cpu f32, {} threads, matmul {}, row kernels {}, micro-batch {} sequences",
            aneal_kernels::threads(),
            matmul::ENGINE_NAME,
            Level::best().name(),
            self.micro_batch,
        )
    }

    fn stage(&mut self, params: &Params) -> Result<()> {
        if params.layout() != self.params.layout() {
            return Err(Error::Weights("they were laid out for another model".to_owned()));
        }
        self.params.values_mut().copy_from_slice(params.values());
        Ok(())
    }

    fn forward_backward(&mut self, batch: &Batch, scale: f32, grads: &mut Grads) -> Result<f64> {
        batch.check(&self.config)?;
        let total = batch.targets();
        let mut sum = 0.0;
        for micro in self.micro_batches(batch) {
            let Self { config, params, rope, workspace, .. } = self;
            let mut pass = layer::Pass { config, params, rope, micro: &micro };
            workspace.fit(config, micro.tokens(), config.layers);
            pass.forward(workspace);
            sum += pass.loss_backward(workspace, scale / total as f32, grads);
            pass.backward(workspace, grads);
        }
        Ok(sum / total as f64)
    }

    fn token_losses(&mut self, batch: &Batch, losses: &mut [f32]) -> Result<()> {
        batch.check(&self.config)?;
        assert_eq!(losses.len(), batch.targets(), "one loss a target");
        let mut rest = losses;
        for micro in self.micro_batches(batch) {
            let Self { config, params, rope, workspace, .. } = self;
            let mut pass = layer::Pass { config, params, rope, micro: &micro };
            // Nothing is kept for a backward pass, so all layers share one set of buffers.
            workspace.fit(config, micro.tokens(), 1);
            pass.forward(workspace);
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(micro.tokens());
            pass.losses(workspace, head);
            rest = tail;
        }
        Ok(())
    }
}
