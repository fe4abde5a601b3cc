//! The tensors of a step on the CPU's side, f32, and the memory they are made of.
//!
//! What is as wide as the residual stream lies by token, `[T, D]`, as norms want it; everything else
//! lies as in surfaces, `[rows, T]`. Products take both.

use std::collections::HashMap;
use std::sync::Arc;

use aneal_kernels::Mat;

use crate::ane::Activation;
use crate::{Error, Result};

/// A tensor that is complete: the work beside the engine may still read it when the step has gone on.
pub(super) type Values = Arc<Vec<f32>>;

/// A tensor of a layer, as an operand `[T, width]`.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) values: Values,
    /// Tokens.
    pub(super) tokens: usize,
    /// Whether it lies by token.
    pub(super) by_token: bool,
}

impl Operand {
    /// `[T, width]`
    pub(super) fn matrix(&self) -> Mat<'_> {
        let width = self.values.len() / self.tokens;
        match self.by_token {
            true => Mat::new(&self.values, self.tokens, width),
            false => Mat::new(&self.values, width, self.tokens).t(),
        }
    }
}

/// All tensors of the step at hand.
#[derive(Debug)]
pub(super) struct Tensors {
    plan: &'static str,
    /// What the backward pass reads, of each layer.
    kept: Vec<HashMap<Activation, Values>>,
    /// What the next steps read.
    passing: HashMap<Activation, Values>,
    spare: Spare,
}

impl Tensors {
    pub(super) fn new(plan: &'static str, layers: usize) -> Self {
        Self {
            plan,
            kept: vec![HashMap::new(); layers],
            passing: HashMap::new(),
            spare: Spare::default(),
        }
    }

    /// The last value of an activation.
    ///
    /// # Errors
    /// [`Error::Plan`] where nothing before made it.
    pub(super) fn get(&self, layer: usize, activation: Activation) -> Result<&Values> {
        let of = if activation.is_kept() { &self.kept[layer] } else { &self.passing };
        of.get(&activation).ok_or_else(|| Error::Plan {
            plan: self.plan.to_owned(),
            reason: format!(
                "{activation:?} of layer {layer} is read before anything makes it; its steps are \
                 out of order"
            ),
        })
    }

    /// Makes `values` the value of an activation.
    pub(super) fn put(&mut self, layer: usize, activation: Activation, values: Vec<f32>) {
        let of = if activation.is_kept() { &mut self.kept[layer] } else { &mut self.passing };
        if let Some(old) = of.insert(activation, Arc::new(values)) {
            self.spare.give(old);
        }
    }

    /// An activation `[T, rows]` as an operand.
    ///
    /// # Errors
    /// As [`Tensors::get`].
    pub(super) fn operand(
        &self,
        layer: usize,
        activation: Activation,
        tokens: usize,
    ) -> Result<Operand> {
        let values = Arc::clone(self.get(layer, activation)?);
        Ok(Operand { values, tokens, by_token: activation.is_of_stream() })
    }

    /// Memory for `len` values, whatever they are.
    pub(super) fn room(&mut self, len: usize) -> Vec<f32> {
        self.spare.take(len)
    }

    /// Takes back what nobody reads any more, now or as soon as that is so.
    pub(super) fn done(&mut self, values: Values) {
        self.spare.give(values);
    }
}

/// Memory of tensors that were replaced.
#[derive(Debug, Default)]
struct Spare(Vec<Values>);

impl Spare {
    fn take(&mut self, len: usize) -> Vec<f32> {
        let free = |values: &Values| values.len() == len && Arc::strong_count(values) == 1;
        let found = self.0.iter().position(free).map(|at| self.0.swap_remove(at));
        // Where somebody still reads it after all, it is theirs to drop.
        found.and_then(|values| Arc::try_unwrap(values).ok()).unwrap_or_else(|| vec![0.0; len])
    }

    fn give(&mut self, values: Values) {
        self.0.push(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_nobody_reads_it() {
        let mut tensors = Tensors::new("test", 2);
        let start = |values: &[f32]| values.as_ptr();
        let first = tensors.room(8);
        let place = start(&first);
        tensors.put(0, Activation::H1Grad, first);
        let read = Arc::clone(tensors.get(1, Activation::H1Grad).unwrap());
        let second = tensors.room(8);
        tensors.put(1, Activation::H1Grad, second);
        assert_ne!(start(&tensors.room(8)), place, "somebody reads it");
        drop(read);
        assert_eq!(start(&tensors.room(8)), place);
    }

    #[test]
    fn layers_keep_what_the_backward_pass_reads_and_share_the_rest() {
        let mut tensors = Tensors::new("test", 2);
        for (layer, activation) in [(0, Activation::H1), (1, Activation::H1)] {
            tensors.put(layer, activation, vec![layer as f32]);
        }
        tensors.put(1, Activation::GateGrad, vec![7.0]);
        assert_eq!(**tensors.get(0, Activation::H1).unwrap(), [0.0]);
        assert_eq!(**tensors.get(1, Activation::H1).unwrap(), [1.0]);
        assert_eq!(**tensors.get(0, Activation::GateGrad).unwrap(), [7.0]);
        let error = tensors.get(1, Activation::Gate).unwrap_err().to_string();
        assert!(error.contains("Gate of layer 1"), "{error}");
    }
}
