//! The end of a run: last validation, last checkpoint, the artifact and its own score, a sample.

use std::path::PathBuf;
use std::time::Instant;

use aneal_golf::artifact::Artifact;
use aneal_golf::score::Score;
use serde::Serialize;
use serde_json::json;

use super::Trainer;
use crate::{Event, Result};

/// What a finished run amounts to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Mean validation loss in nats of the packed artifact.
    pub val_loss: f64,
    /// Bits per byte of the packed artifact: what counts in the challenge.
    pub val_bpb: f64,
    /// Bits per byte before packing.
    pub val_bpb_before: f64,
    /// Bits per byte before training.
    pub val_bpb_untrained: Option<f64>,
    /// Size of the artifact.
    pub artifact_bytes: u64,
    /// Training tokens.
    pub tokens: u64,
    /// Updates.
    pub steps: u64,
    /// Seconds spent in updates.
    pub wall_s: f64,
    /// The run folder.
    pub run_dir: PathBuf,
    /// A sample of text.
    pub sample: Option<String>,
}

impl Trainer<'_> {
    pub(super) fn finish(mut self) -> Result<Summary> {
        let (before, _) = self.validate_and_compare()?;
        self.save()?;
        let (artifact_bytes, after) = self.pack()?;
        let sample = match self.config.sample.max_tokens {
            0 => None,
            _ => Some(self.sample()?),
        };
        let summary = Summary {
            val_loss: after.val_loss,
            val_bpb: after.val_bpb,
            val_bpb_before: before.val_bpb,
            val_bpb_untrained: self.state.untrained_val_bpb,
            artifact_bytes,
            tokens: self.state.tokens,
            steps: self.state.step,
            wall_s: self.state.train_ms / 1e3,
            run_dir: self.folder.root().to_owned(),
            sample,
        };
        let mut record = json!(summary);
        record["event"] = json!("finished");
        self.logs.record(&record)?;
        self.logs.sync()?;
        Ok(summary)
    }

    /// Packs the weights, reads the file back, and scores what it holds.
    fn pack(&mut self) -> Result<(u64, Score)> {
        let start = Instant::now();
        let path = self.folder.artifact();
        let scheme = self.config.artifact.scheme;
        let sizes =
            Artifact::pack(&self.config.model, &self.learner.params, scheme)?.write(&path)?;
        self.logs.line(&sizes.to_string())?;
        let bytes = sizes.artifact as u64;
        self.observer.event(Event::Packed { path: &path, bytes });
        self.logs.line(&format!("Total submission size int8+zlib: {bytes} bytes"))?;

        let (_, unpacked) = Artifact::read(&path)?.unpack(None)?;
        self.backend.stage(&unpacked)?;
        let score = self.validate("artifact")?;
        self.backend.stage(&self.learner.params)?;
        let Score { val_loss, val_bpb, .. } = score;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        for line in [
            format!(
                "final_int8_zlib_roundtrip val_loss:{val_loss:.4} val_bpb:{val_bpb:.4} \
                 eval_time:{ms:.0}ms"
            ),
            format!("final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8} val_bpb:{val_bpb:.8}"),
        ] {
            self.logs.line(&line)?;
        }
        Ok((bytes, score))
    }
}
