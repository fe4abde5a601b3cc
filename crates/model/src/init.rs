//! Initial weights as the trainer behind parameter-golf PR #801 draws them.

use crate::philox::{Philox, Stream};
use crate::{Layout, ModelConfig, Params};

/// Fresh parameters, a pure function of `config` and `seed`.
///
/// Matrices are uniform on +-bound, norm gains are 1. Bounds: embedding 0.02; wq, wk, wv
/// 1/sqrt(D); wo 1/sqrt(heads * head_dim) and w2 1/sqrt(D), both times 1/sqrt(2 L); w1, w3
/// 1/sqrt(H). For GolfWide this gives wo and w2 the published +-0.0104.
pub fn init(config: &ModelConfig, seed: u64) -> Params {
    let layout = Layout::new(config);
    let mut params = Params::zeros(&layout);
    let random = Philox::new(seed, Stream::Init);
    let mut block = 0;
    let mut uniform = |params: &mut Params, slot, bound: f32| {
        let values = params.slice_mut(slot);
        block = random.fill_symmetric(block, values);
        values.iter_mut().for_each(|v| *v *= bound);
    };
    let inverse_root = |n: usize| 1.0 / (n as f32).sqrt();
    let by_dim = inverse_root(config.dim);
    let residual = inverse_root(2 * config.layers);

    uniform(&mut params, &layout.tok_embeddings, 0.02);
    for layer in &layout.layers {
        for slot in [&layer.wq, &layer.wk, &layer.wv] {
            uniform(&mut params, slot, by_dim);
        }
        uniform(&mut params, &layer.wo, inverse_root(config.q_width()) * residual);
        for slot in [&layer.w1, &layer.w3] {
            uniform(&mut params, slot, inverse_root(config.hidden));
        }
        uniform(&mut params, &layer.w2, by_dim * residual);
        params.slice_mut(&layer.attention_norm).fill(1.0);
        params.slice_mut(&layer.ffn_norm).fill(1.0);
    }
    params.slice_mut(&layout.norm).fill(1.0);
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_published_ones() {
        let config = ModelConfig::preset("golfwide").unwrap();
        let params = init(&config, 1337);
        let largest = |name: &str| {
            let slot = &params.layout().find(name).unwrap().slot;
            params.slice(slot).iter().fold(0.0_f32, |a, v| a.max(v.abs()))
        };
        let cases = [
            ("tok_embeddings.weight", 0.02),
            ("layers.3.attention.wq.weight", 0.044_194),
            ("layers.3.attention.wo.weight", 0.010_417),
            ("layers.3.feed_forward.w1.weight", 0.031_25),
            ("layers.3.feed_forward.w2.weight", 0.010_417),
        ];
        for (name, bound) in cases {
            let found = largest(name);
            assert!(found <= bound * 1.0001 && found > bound * 0.999, "{name}: {found}");
        }
        assert!(params.slice(&params.layout().norm).iter().all(|&v| v == 1.0));
    }

    #[test]
    fn the_seed_decides() {
        let config = ModelConfig::preset("quickstart").unwrap();
        assert_eq!(init(&config, 1).values(), init(&config, 1).values());
        assert_ne!(init(&config, 1).values(), init(&config, 2).values());
    }
}
