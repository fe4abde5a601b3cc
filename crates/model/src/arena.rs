//! Parameters, gradients and moments: one buffer each, all with the same named layout.

use std::ops::Range;
use std::sync::Arc;

use crate::{Error, Layout, Result, TensorSpec};

/// The trained values.
pub type Params = Arena;
/// The derivative of the loss by each of them.
pub type Grads = Arena;

/// Values of every tensor of a [`Layout`], end to end.
///
/// Reductions, clipping, updates and checkpoints are loops over [`values`](Self::values); the
/// training step takes single tensors by their slot.
#[derive(Clone, Debug)]
pub struct Arena {
    layout: Arc<Layout>,
    values: Vec<f32>,
}

impl Arena {
    /// All zeros.
    pub fn zeros(layout: &Arc<Layout>) -> Self {
        Self { layout: Arc::clone(layout), values: vec![0.0; layout.len()] }
    }

    /// Where each tensor lies.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All values, in layout order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, in layout order.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Sets every value to zero, on all threads.
    pub fn clear(&mut self) {
        aneal_kernels::norm::clear(&mut self.values);
    }

    /// The values of one slot of the layout.
    pub fn slice(&self, slot: &Range<usize>) -> &[f32] {
        &self.values[slot.clone()]
    }

    /// The values of one slot of the layout.
    pub fn slice_mut(&mut self, slot: &Range<usize>) -> &mut [f32] {
        &mut self.values[slot.clone()]
    }

    /// Every tensor with its values, in layout order.
    pub fn tensors(&self) -> impl Iterator<Item = (&TensorSpec, &[f32])> {
        self.layout.tensors.iter().map(|spec| (spec, self.slice(&spec.slot)))
    }

    /// Fills the arena from named tensors, which must be exactly the layout's, in any order.
    ///
    /// # Errors
    /// [`Error::Weights`] names the first tensor that is missing, unknown, given twice or of another
    /// shape. The arena is only changed by a complete set.
    pub fn load<'a>(
        &mut self,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [f32])>,
    ) -> Result<()> {
        let mut values = vec![0.0; self.values.len()];
        let mut missing: Vec<&str> = self.layout.tensors.iter().map(|t| t.name.as_str()).collect();
        for (name, shape, data) in tensors {
            let Some(spec) = self.layout.find(name) else {
                return Err(Error::Weights(format!("they hold {name}, which the model has not")));
            };
            if spec.shape != shape || spec.slot.len() != data.len() {
                let expected = &spec.shape;
                let found = format!("{name} is {shape:?} where the model has {expected:?}");
                return Err(Error::Weights(found));
            }
            let Some(at) = missing.iter().position(|m| *m == name) else {
                return Err(Error::Weights(format!("they hold {name} twice")));
            };
            missing.swap_remove(at);
            values[spec.slot.clone()].copy_from_slice(data);
        }
        if let Some(name) = missing.first() {
            let rest = missing.len() - 1;
            return Err(Error::Weights(format!("{name} and {rest} other tensors are missing")));
        }
        self.values = values;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelConfig;

    #[test]
    fn loads_a_complete_set_and_nothing_else() {
        let config = ModelConfig {
            vocab_size: 7,
            dim: 4,
            layers: 1,
            heads: 1,
            kv_heads: 1,
            head_dim: 4,
            hidden: 6,
            ..ModelConfig::preset("quickstart").unwrap()
        };
        let layout = Layout::new(&config);
        let mut source = Arena::zeros(&layout);
        for (i, v) in source.values_mut().iter_mut().enumerate() {
            *v = i as f32;
        }
        type Set<'a> = Vec<(&'a str, &'a [usize], &'a [f32])>;
        let all: Set<'_> =
            source.tensors().map(|(t, v)| (t.name.as_str(), t.shape.as_slice(), v)).collect();
        let mut target = Arena::zeros(&layout);
        target.load(all.iter().rev().copied()).unwrap();
        assert_eq!(target.values(), source.values());

        type Edit = fn(&mut Set<'_>);
        let cases: [(&str, Edit); 4] = [
            ("are missing", |set| _ = set.pop()),
            ("twice", |set| set.push(set[0])),
            ("has not", |set| set[0].0 = "lm_head.weight"),
            ("where the model has", |set| set[1].1 = &[5]),
        ];
        for (expected, edit) in cases {
            let mut set = all.clone();
            edit(&mut set);
            let mut untouched = Arena::zeros(&layout);
            let message = untouched.load(set).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(untouched.values().iter().all(|&v| v == 0.0));
        }
    }
}
