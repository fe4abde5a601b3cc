//! The shape of a model, as written in TOML and in checkpoints.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Everything that determines the model's parameters and its function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// V: token ids are below this.
    pub vocab_size: usize,
    /// D: width of the residual stream.
    pub dim: usize,
    /// L: number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head, even; need not be `dim / heads`.
    pub head_dim: usize,
    /// H: hidden width of the SwiGLU feed-forward layer.
    pub hidden: usize,
    /// S: longest sequence.
    pub seq_len: usize,
    /// Base of the rotary position embedding.
    #[serde(default = "default_rope_theta")]
    pub rope_theta: f64,
    /// Added to the mean square in RMSNorm.
    #[serde(default = "default_norm_eps")]
    pub norm_eps: f32,
    /// What both residual branches are multiplied by; absent means 1 / sqrt(2 L).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_scale: Option<f32>,
}

fn default_rope_theta() -> f64 {
    10_000.0
}

fn default_norm_eps() -> f32 {
    1e-5
}

impl ModelConfig {
    /// Largest value of any size.
    const MAX_SIZE: usize = 1 << 24;
    /// Most parameters, and most values of the position table and of the cache of keys: far above
    /// what a model of this kind has, far below what overflows.
    const MAX_VALUES: u128 = 1 << 34;

    /// Accepts the configuration or says what is wrong with it.
    ///
    /// # Errors
    /// [`Error::Config`] names the first field that cannot be.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("dim", self.dim),
            ("layers", self.layers),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("hidden", self.hidden),
            ("seq_len", self.seq_len),
        ];
        let refuse =
            |field, found: String, expected: String| Err(Error::Config { field, found, expected });
        for (field, size) in sizes {
            if size == 0 || size > Self::MAX_SIZE {
                let rule = format!("it must be at least 1 and at most {}", Self::MAX_SIZE);
                return refuse(field, size.to_string(), rule);
            }
        }
        let wide = |sizes: &[usize]| sizes.iter().map(|&n| n as u128).product::<u128>();
        let widths = wide(&[2, self.head_dim]) * (wide(&[self.heads]) + wide(&[self.kv_heads]));
        let layer = wide(&[self.dim]) * (widths + wide(&[3, self.hidden]) + 2);
        let parameters = wide(&[self.layers]) * layer + wide(&[self.vocab_size + 1, self.dim]);
        let cache = wide(&[self.layers, self.seq_len, self.kv_heads, self.head_dim]);
        let largest = parameters.max(cache).max(wide(&[self.seq_len, self.head_dim]));
        if largest > Self::MAX_VALUES {
            let rule = format!("with the other sizes it takes {largest} values, too many");
            return refuse("dim", self.dim.to_string(), rule);
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let rule = format!(
                "every key-value head serves the same number of query heads, so it must divide \
                 heads = {}",
                self.heads
            );
            return refuse("kv_heads", self.kv_heads.to_string(), rule);
        }
        if !self.head_dim.is_multiple_of(2) {
            let rule = "rotary embedding turns pairs, so it must be even".to_owned();
            return refuse("head_dim", self.head_dim.to_string(), rule);
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 1.0) {
            return refuse(
                "rope_theta",
                self.rope_theta.to_string(),
                "it must exceed 1".to_owned(),
            );
        }
        if !(self.norm_eps.is_finite() && self.norm_eps > 0.0) {
            return refuse("norm_eps", self.norm_eps.to_string(), "it must be positive".to_owned());
        }
        if let Some(scale) = self.residual_scale
            && !(scale.is_finite() && scale > 0.0)
        {
            let rule = "it must be positive".to_owned();
            return refuse("residual_scale", scale.to_string(), rule);
        }
        Ok(())
    }

    /// What residual branches are multiplied by.
    pub fn residual_scale(&self) -> f32 {
        self.residual_scale.unwrap_or(1.0 / (2.0 * self.layers as f32).sqrt())
    }

    /// Width of all query heads together.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key-value heads together.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Width of queries, keys and values together.
    pub fn qkv_width(&self) -> usize {
        self.q_width() + 2 * self.kv_width()
    }

    /// Multiply-adds times two that a training step spends on a token of a sequence of `seq_len`:
    /// 6 for every value of a matrix, and those of causal attention, which is half of the square.
    /// Backward counts twice forward; what is computed again does not count, nor do look-ups.
    pub fn train_flops_per_token(&self, seq_len: usize) -> f64 {
        let norms = (2 * self.layers + 1) * self.dim;
        let attention = self.layers * self.q_width() * seq_len;
        6.0 * ((self.parameters() - norms) as f64 + attention as f64)
    }

    /// Number of parameters; the tied embedding counts once.
    pub fn parameters(&self) -> usize {
        let attention = self.dim * (2 * self.q_width() + 2 * self.kv_width());
        let layer = attention + 3 * self.dim * self.hidden + 2 * self.dim;
        self.layers * layer + self.vocab_size * self.dim + self.dim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_and_names_it() {
        let good = ModelConfig::preset("golfwide").unwrap();
        good.validate().unwrap();
        type Edit = fn(&mut ModelConfig);
        let cases: [(&str, Edit); 10] = [
            ("dim", |c| (c.heads, c.head_dim, c.layers) = (1 << 20, 1 << 20, 1 << 20)),
            ("layers", |c| c.layers = 0),
            ("vocab_size", |c| c.vocab_size = 0),
            ("dim", |c| c.dim = 1 << 30),
            ("kv_heads", |c| c.kv_heads = 3),
            ("head_dim", |c| c.head_dim = 63),
            ("seq_len", |c| c.seq_len = 0),
            ("rope_theta", |c| c.rope_theta = f64::NAN),
            ("norm_eps", |c| c.norm_eps = 0.0),
            ("residual_scale", |c| c.residual_scale = Some(-1.0)),
        ];
        for (field, edit) in cases {
            let mut config = good.clone();
            edit(&mut config);
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with(&format!("model.{field} = ")), "{message}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = serde_json::to_string(&ModelConfig::preset("quickstart").unwrap()).unwrap();
        serde_json::from_str::<ModelConfig>(&text).unwrap();
        let text = text.replacen("\"dim\"", "\"width\"", 1);
        assert!(serde_json::from_str::<ModelConfig>(&text).is_err());
    }
}
