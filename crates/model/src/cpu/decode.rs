//! Text generation: one token at a time with cached keys and values.

use aneal_kernels::attention::single_query;
use aneal_kernels::{matvec, rms_norm, rope, swiglu};

use crate::{Error, ModelConfig, Params, Result};

/// A sequence being continued.
#[derive(Debug)]
pub struct Decoder<'a> {
    config: &'a ModelConfig,
    params: &'a Params,
    rope: rope::Table,
    /// The tokens whose keys and values are cached, oldest first.
    context: Vec<u32>,
    /// `[L, S, kv_heads * head_dim]` each.
    keys: Vec<f32>,
    values: Vec<f32>,
    logits: Vec<f32>,
}

impl<'a> Decoder<'a> {
    /// An empty sequence.
    ///
    /// # Errors
    /// [`Error::Weights`] if the parameters are another model's.
    pub fn new(config: &'a ModelConfig, params: &'a Params) -> Result<Self> {
        if **params.layout() != *crate::Layout::new(config) {
            return Err(Error::Weights("they were laid out for another model".to_owned()));
        }
        let cache = config.layers * config.seq_len * config.kv_width();
        Ok(Self {
            config,
            params,
            rope: rope::Table::new(config.seq_len, config.head_dim, config.rope_theta),
            context: Vec::with_capacity(config.seq_len),
            keys: vec![0.0; cache],
            values: vec![0.0; cache],
            logits: vec![0.0; config.vocab_size],
        })
    }

    /// Appends a token and returns the logits `[V]` of the next one.
    ///
    /// When the model's sequence length is reached, the older half of the context is forgotten and
    /// the newer half is read again from position 0, since positions are part of the cached keys.
    ///
    /// # Errors
    /// [`Error::TokenId`].
    pub fn push(&mut self, id: u32) -> Result<&[f32]> {
        let (vocab_size, position) = (self.config.vocab_size, self.context.len());
        if id as usize >= vocab_size {
            return Err(Error::TokenId { id, position, vocab_size });
        }
        if position == self.config.seq_len {
            let keep = self.context.split_off(position - position / 2);
            self.context.clear();
            for id in keep {
                self.step(id);
            }
        }
        self.step(id);
        Ok(&self.logits)
    }

    fn step(&mut self, id: u32) {
        let Self { config, params, .. } = *self;
        let (d, eps, scale) = (config.dim, config.norm_eps, config.residual_scale());
        let position = self.context.len();
        let width = config.kv_width();
        let layout = params.layout();
        let table = params.slice(&layout.tok_embeddings);
        let mut x = table[id as usize * d..(id as usize + 1) * d].to_vec();
        let (mut xn, mut inv_rms) = (vec![0.0; d], [0.0]);
        let (mut q, mut out) = (vec![0.0; config.q_width()], vec![0.0; config.q_width()]);
        let [mut h1, mut h3, mut gate] = [(); 3].map(|()| vec![0.0; config.hidden]);
        for (layer, slots) in layout.layers.iter().enumerate() {
            let weight = |slot| params.slice(slot);
            let start = layer * config.seq_len * width;
            let row = start + position * width..start + (position + 1) * width;
            rms_norm::forward(&mut xn, &mut inv_rms, &x, weight(&slots.attention_norm), eps);
            matvec(&mut q, 0.0, 1.0, weight(&slots.wq), &xn);
            matvec(&mut self.keys[row.clone()], 0.0, 1.0, weight(&slots.wk), &xn);
            matvec(&mut self.values[row.clone()], 0.0, 1.0, weight(&slots.wv), &xn);
            self.rope.rotate_row(&mut q, position);
            self.rope.rotate_row(&mut self.keys[row.clone()], position);
            let seen = start..row.end;
            let (keys, values) = (&self.keys[seen.clone()], &self.values[seen]);
            single_query(&mut out, &q, keys, values, config.kv_heads, config.head_dim);
            matvec(&mut x, 1.0, scale, weight(&slots.wo), &out);
            rms_norm::forward(&mut xn, &mut inv_rms, &x, weight(&slots.ffn_norm), eps);
            matvec(&mut h1, 0.0, 1.0, weight(&slots.w1), &xn);
            matvec(&mut h3, 0.0, 1.0, weight(&slots.w3), &xn);
            swiglu::gate_row(&mut gate, &h1, &h3);
            matvec(&mut x, 1.0, scale, weight(&slots.w2), &gate);
        }
        rms_norm::forward(&mut xn, &mut inv_rms, &x, params.slice(&layout.norm), eps);
        matvec(&mut self.logits, 0.0, 1.0, table, &xn);
        self.context.push(id);
    }
}
