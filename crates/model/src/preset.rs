//! Model shapes by name.

use crate::{Error, ModelConfig, Result};

impl ModelConfig {
    /// The names that [`preset`](Self::preset) knows.
    pub const PRESETS: [&str; 4] = ["quickstart", "golfwide", "stories110m", "qwen3-0.6b"];

    /// A shape by name.
    ///
    /// - `quickstart`: trains in two to three minutes on two CPU cores.
    /// - `golfwide`: the model of openai/parameter-golf PR #801, 21,767,680 parameters.
    /// - `stories110m`: the llama2.c model that most public Neural Engine trainers measure.
    /// - `qwen3-0.6b`: the sizes of Qwen3 0.6B (its normalised queries and keys are not part of
    ///   this architecture).
    ///
    /// # Errors
    /// [`Error::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self> {
        let golfwide = Self {
            vocab_size: 1024,
            dim: 512,
            layers: 9,
            heads: 8,
            kv_heads: 4,
            head_dim: 64,
            hidden: 1024,
            seq_len: 256,
            rope_theta: 10_000.0,
            norm_eps: 1e-5,
            residual_scale: None,
        };
        Ok(match name {
            "quickstart" => {
                Self { dim: 256, layers: 2, heads: 4, kv_heads: 2, hidden: 768, ..golfwide }
            }
            "golfwide" => golfwide,
            "stories110m" => Self {
                vocab_size: 32_000,
                dim: 768,
                layers: 12,
                heads: 12,
                kv_heads: 12,
                hidden: 2048,
                ..golfwide
            },
            "qwen3-0.6b" => Self {
                vocab_size: 151_936,
                dim: 1024,
                layers: 28,
                heads: 16,
                kv_heads: 8,
                head_dim: 128,
                hidden: 3072,
                rope_theta: 1e6,
                ..golfwide
            },
            _ => {
                let known = Self::PRESETS.join(", ");
                return Err(Error::UnknownPreset { name: name.to_owned(), known });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid() {
        for name in ModelConfig::PRESETS {
            ModelConfig::preset(name).unwrap().validate().unwrap();
        }
        let message = ModelConfig::preset("gpt5").unwrap_err().to_string();
        assert!(message.contains("golfwide"), "{message}");
    }

    #[test]
    fn golfwide_has_the_published_number_of_parameters() {
        let golfwide = ModelConfig::preset("golfwide").unwrap();
        assert_eq!(golfwide.parameters(), 21_242_880 + 524_288 + 512);
        assert_eq!(golfwide.parameters(), 21_767_680);
    }
}
