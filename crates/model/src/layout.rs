//! The one table that says where each named tensor lies in an arena.

use std::ops::Range;
use std::sync::Arc;

use crate::ModelConfig;

/// A named tensor and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// As in the original LLaMA checkpoints, for example `layers.0.attention.wq.weight`.
    pub name: String,
    /// Row-major `[out, in]` for matrices, `[D]` for norm gains.
    pub shape: Vec<usize>,
    /// Its values in the arena.
    pub slot: Range<usize>,
}

impl TensorSpec {
    /// Norm gains are vectors, everything else is a matrix; weight decay spares the former.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }
}

/// Places of one layer's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSlots {
    /// `[D]`
    pub attention_norm: Range<usize>,
    /// `[heads * head_dim, D]`
    pub wq: Range<usize>,
    /// `[kv_heads * head_dim, D]`
    pub wk: Range<usize>,
    /// `[kv_heads * head_dim, D]`
    pub wv: Range<usize>,
    /// `[D, heads * head_dim]`
    pub wo: Range<usize>,
    /// `[D]`
    pub ffn_norm: Range<usize>,
    /// `[H, D]`
    pub w1: Range<usize>,
    /// `[H, D]`
    pub w3: Range<usize>,
    /// `[D, H]`
    pub w2: Range<usize>,
}

impl LayerSlots {
    /// `[(heads + 2 kv_heads) * head_dim, D]`: wq, wk and wv, which are neighbours.
    pub fn wqkv(&self) -> Range<usize> {
        self.wq.start..self.wv.end
    }

    /// `[2 H, D]`: w1 and w3, which are neighbours.
    pub fn w13(&self) -> Range<usize> {
        self.w1.start..self.w3.end
    }
}

/// Places of all tensors of a model, in arena order.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Every tensor, in arena order, without gaps.
    pub tensors: Vec<TensorSpec>,
    /// `[V, D]`, tied: also the classifier.
    pub tok_embeddings: Range<usize>,
    /// One entry a layer.
    pub layers: Vec<LayerSlots>,
    /// `[D]`, before the classifier.
    pub norm: Range<usize>,
}

impl Layout {
    /// The layout of a valid configuration.
    pub fn new(config: &ModelConfig) -> Arc<Self> {
        let (d, h) = (config.dim, config.hidden);
        let (q, kv) = (config.q_width(), config.kv_width());
        let mut tensors: Vec<TensorSpec> = Vec::new();
        let mut add = |name: String, shape: &[usize]| {
            let start = tensors.last().map_or(0, |last| last.slot.end);
            let slot = start..start + shape.iter().product::<usize>();
            tensors.push(TensorSpec { name, shape: shape.to_vec(), slot: slot.clone() });
            slot
        };
        let tok_embeddings = add("tok_embeddings.weight".to_owned(), &[config.vocab_size, d]);
        let layers = (0..config.layers)
            .map(|layer| {
                let mut add = |name: &str, shape: &[usize]| {
                    add(format!("layers.{layer}.{name}.weight"), shape)
                };
                LayerSlots {
                    attention_norm: add("attention_norm", &[d]),
                    wq: add("attention.wq", &[q, d]),
                    wk: add("attention.wk", &[kv, d]),
                    wv: add("attention.wv", &[kv, d]),
                    wo: add("attention.wo", &[d, q]),
                    ffn_norm: add("ffn_norm", &[d]),
                    w1: add("feed_forward.w1", &[h, d]),
                    w3: add("feed_forward.w3", &[h, d]),
                    w2: add("feed_forward.w2", &[d, h]),
                }
            })
            .collect();
        let norm = add("norm.weight".to_owned(), &[d]);
        Arc::new(Self { tensors, tok_embeddings, layers, norm })
    }

    /// Number of values in an arena.
    pub fn len(&self) -> usize {
        self.norm.end
    }

    /// Never: a valid model has parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tensor called `name`.
    pub fn find(&self, name: &str) -> Option<&TensorSpec> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_fill_the_arena_without_gaps() {
        for name in ModelConfig::PRESETS {
            let config = ModelConfig::preset(name).unwrap();
            let layout = Layout::new(&config);
            let mut end = 0;
            for tensor in &layout.tensors {
                assert_eq!(tensor.slot.start, end, "{}", tensor.name);
                assert_eq!(tensor.slot.len(), tensor.shape.iter().product::<usize>());
                end = tensor.slot.end;
            }
            assert_eq!(end, config.parameters());
            assert_eq!(layout.len(), end);
        }
    }

    #[test]
    fn matrices_with_a_common_input_are_neighbours() {
        for layer in &Layout::new(&ModelConfig::preset("golfwide").unwrap()).layers {
            assert_eq!(layer.wqkv().len(), layer.wq.len() + layer.wk.len() + layer.wv.len());
            assert_eq!(layer.w13().len(), layer.w1.len() + layer.w3.len());
        }
    }

    #[test]
    fn slots_and_names_mean_the_same() {
        let layout = Layout::new(&ModelConfig::preset("golfwide").unwrap());
        let slot = |name: &str| layout.find(name).unwrap().slot.clone();
        assert_eq!(slot("layers.8.feed_forward.w2.weight"), layout.layers[8].w2);
        assert_eq!(slot("layers.0.attention.wk.weight"), layout.layers[0].wk);
        assert_eq!(slot("norm.weight"), layout.norm);
        assert_eq!(layout.find("output.weight"), None);
    }
}
