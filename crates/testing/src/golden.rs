//! Golden numbers of a small model, made by `python/make_golden.py` in PyTorch.

use aneal_model::{Batch, Layout, ModelConfig, Params};
use safetensors::SafeTensors;

/// One fixture: inputs, and what PyTorch computes from them in f64.
pub struct Golden {
    bytes: Vec<u8>,
    /// The model.
    pub config: ModelConfig,
    /// Hyper-parameters of the ten AdamW updates, by name.
    pub adamw: serde_json::Value,
}

impl Golden {
    /// Every fixture there is.
    pub const NAMES: [&str; 2] = ["gqa", "mqa_wide_head"];

    /// Reads `fixtures/golden/{name}.safetensors`.
    pub fn read(name: &str) -> Self {
        let path = crate::fixtures().join("golden").join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().as_ref().expect("metadata");
        let config = serde_json::from_str(&metadata["config"]).unwrap();
        let adamw = serde_json::from_str(&metadata["adamw"]).unwrap();
        Self { bytes, config, adamw }
    }

    /// A float tensor.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32, "{name}");
        bytemuck::allocation::pod_collect_to_vec(tensor.data())
    }

    /// The batches of a `[.., B, S + 1]` tensor of token ids.
    pub fn batches(&self, name: &str) -> Vec<Batch> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let ids: Vec<u32> = bytemuck::allocation::pod_collect_to_vec(tensor.data());
        let shape = tensor.shape();
        let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        ids.chunks(rows * columns)
            .map(|ids| Batch::new(ids.to_vec(), columns - 1).unwrap())
            .collect()
    }

    /// The tensors called `{prefix}.{parameter}`, as an arena.
    pub fn params(&self, prefix: &str) -> Params {
        let mut params = Params::zeros(&Layout::new(&self.config));
        let layout = params.layout().clone();
        for spec in &layout.tensors {
            let values = self.floats(&format!("{prefix}.{}", spec.name));
            params.slice_mut(&spec.slot).copy_from_slice(&values);
        }
        params
    }
}
