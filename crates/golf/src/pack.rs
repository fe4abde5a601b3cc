//! A model as an artifact, and an artifact as a model.

use aneal_model::{Layout, ModelConfig, Params};

use crate::artifact::Artifact;
use crate::quantize::{NamedTensor, QuantScheme, TensorView, quantize};
use crate::{Error, Result};

impl Artifact {
    /// Quantises a model.
    ///
    /// # Errors
    /// Weights that are not finite or too large for the format.
    pub fn pack(config: &ModelConfig, params: &Params, scheme: QuantScheme) -> Result<Self> {
        let tensors: Vec<TensorView<'_>> = params
            .tensors()
            .map(|(spec, data)| TensorView { name: &spec.name, shape: &spec.shape, data })
            .collect();
        let state = quantize(&tensors, scheme)?;
        let model_config = match serde_json::to_value(config) {
            Ok(serde_json::Value::Object(map)) => map,
            _ => return Err(Error::Artifact { reason: "the model has no configuration".into() }),
        };
        Ok(Self { state, model_config: Some(model_config) })
    }

    /// The model that the artifact holds. `config` stands in for the configuration that artifacts of
    /// other programs do not carry.
    ///
    /// # Errors
    /// No configuration, or one that the tensors do not fit.
    pub fn unpack(&self, config: Option<&ModelConfig>) -> Result<(ModelConfig, Params)> {
        let config = match (&self.model_config, config) {
            (_, Some(config)) => config.clone(),
            (Some(map), None) => serde_json::from_value(serde_json::Value::Object(map.clone()))
                .map_err(|e| Error::Artifact { reason: format!("its model_config: {e}") })?,
            (None, None) => {
                let reason = "it carries no model_config, so another program wrote it; name the \
                              model's shape"
                    .to_owned();
                return Err(Error::Artifact { reason });
            }
        };
        config.validate()?;
        let tensors = self.state.dequantize()?;
        let found: usize = tensors.iter().map(|tensor| tensor.data.len()).sum();
        if found != config.parameters() {
            let expected = config.parameters();
            let reason = format!("it holds {found} values where the model has {expected}");
            return Err(Error::Artifact { reason });
        }
        let mut params = Params::zeros(&Layout::new(&config));
        params.load(tensors.iter().map(|NamedTensor { name, shape, data }| {
            (name.as_str(), shape.as_slice(), data.as_slice())
        }))?;
        Ok((config, params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_survives_packing_to_half_a_step() {
        let config =
            ModelConfig { dim: 320, layers: 1, ..ModelConfig::preset("quickstart").unwrap() };
        let params = aneal_model::init(&config, 3);
        let artifact = Artifact::pack(&config, &params, QuantScheme::PerRow).unwrap();
        let (bytes, sizes) = artifact.to_bytes().unwrap();
        assert_eq!(sizes.artifact, bytes.len());
        let (again, unpacked) = Artifact::from_bytes(&bytes).unwrap().unpack(None).unwrap();
        assert_eq!(again, config);
        for ((spec, before), (_, after)) in params.tensors().zip(unpacked.tensors()) {
            let width = *spec.shape.last().unwrap();
            for (before, after) in before.chunks(width).zip(after.chunks(width)) {
                let largest = before.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
                let worst =
                    before.iter().zip(after).fold(0.0_f32, |a, (b, c)| a.max((b - c).abs()));
                assert!(worst <= largest / 127.0 * 0.51, "{}: {worst} of {largest}", spec.name);
            }
        }
    }

    #[test]
    fn a_configuration_that_does_not_fit_is_refused() {
        let config = ModelConfig::preset("quickstart").unwrap();
        let params = aneal_model::init(&config, 3);
        let mut artifact = Artifact::pack(&config, &params, QuantScheme::Reference).unwrap();
        let other = ModelConfig { layers: config.layers + 1, ..config.clone() };
        let message = artifact.unpack(Some(&other)).unwrap_err().to_string();
        assert!(message.contains("where the model has"), "{message}");
        artifact.model_config = None;
        let message = artifact.unpack(None).unwrap_err().to_string();
        assert!(message.contains("model_config"), "{message}");
        assert_eq!(artifact.unpack(Some(&config)).unwrap().0, config);
    }
}
