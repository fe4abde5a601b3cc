//! What the two logs of a run say: the challenge's line shapes, and JSON records with the same names.

use aneal_golf::score::Score;
use serde_json::json;

use super::{LOGGED_FROM_THE_START, Trainer};
use crate::{Event, Result};

/// What there is to say about one update.
pub(super) struct StepRecord {
    pub(super) loss: f64,
    pub(super) lr: f64,
    pub(super) grad_norm: f64,
    pub(super) skipped: bool,
    pub(super) step_ms: f64,
}

impl Trainer<'_> {
    /// The opening lines.
    pub(super) fn introduce(&mut self) -> Result<()> {
        let config =
            toml::to_string(&self.config).map_err(|e| crate::Error::Config(e.to_string()))?;
        for line in config.lines() {
            self.logs.line(line)?;
        }
        self.logs.line(&"=".repeat(100))?;
        let (model, adamw) = (&self.config.model, self.config.adamw());
        let (train, val) = (self.data.train.describe(), self.data.val.describe());
        let folder = |path: &std::path::Path| path.parent().unwrap_or(path).display().to_string();
        let mut lines = vec![
            format!(
                "val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path={}",
                self.folder.tokenizer().display()
            ),
            format!("train_loader:dataset:{} train_shards:{}", folder(&train[0].path), train.len()),
            format!(
                "val_loader:shards pattern={} tokens:{}",
                folder(&val[0].path),
                self.data.val.len() - 1
            ),
            format!("model_params:{}", model.parameters()),
            format!("world_size:1 grad_accum_steps:{}", self.config.batch.grad_accum),
            format!("attention_mode:gqa num_heads:{} num_kv_heads:{}", model.heads, model.kv_heads),
            format!(
                "tie_embeddings:True embed_lr:{} head_lr:0.0 matrix_lr:{} scalar_lr:{}",
                adamw.embedding_lr.unwrap_or(adamw.lr),
                adamw.lr,
                adamw.lr
            ),
            format!(
                "train_batch_tokens:{} train_seq_len:{} iterations:{} warmup_steps:0 \
                 max_wallclock_seconds:{:.3}",
                self.config.batch.tokens,
                self.config.seq_len(),
                self.config.total_steps().unwrap_or(0),
                self.config.stop.seconds.unwrap_or(0.0)
            ),
            format!("seed:{}", self.config.seed),
            format!("backend:{}", self.backend.describe()),
        ];
        lines.extend(train.iter().chain(&val).map(|shard| {
            format!(
                "shard:{} format:{} tokens:{}",
                shard.path.display(),
                shard.format,
                shard.tokens
            )
        }));
        for line in lines {
            self.logs.line(&line)?;
        }
        Ok(())
    }

    /// One line for the reader and for the log.
    pub(super) fn note(&mut self, line: &str) -> Result<()> {
        self.logs.line(line)?;
        self.observer.event(Event::Note(line));
        Ok(())
    }

    pub(super) fn record_step(&mut self, record: &StepRecord) -> Result<()> {
        let total = self.config.total_steps();
        let (step, train_ms) = (self.state.step, self.state.train_ms);
        let batch_tokens = self.config.batch.tokens;
        self.logs.record(&json!({
            "event": "step",
            "step": step,
            "tokens": self.state.tokens,
            "train_loss": record.loss,
            "lr": record.lr,
            "grad_norm": record.grad_norm,
            "loss_scale": self.state.loss_scale.scale(),
            "skipped": record.skipped,
            "train_time_ms": train_ms,
            "step_ms": record.step_ms,
            "tokens_per_s": batch_tokens as f64 / record.step_ms * 1e3,
        }))?;
        let last = self.over();
        if step <= LOGGED_FROM_THE_START || step.is_multiple_of(self.config.log_every) || last {
            let loss = record.loss;
            let clock = self.clock();
            self.logs.line(&format!("step:{} train_loss:{loss:.4} {clock}", self.step_of()))?;
        }
        if record.skipped {
            let scale = self.state.loss_scale.scale();
            self.note(&format!(
                "step:{step} skipped: gradients were not finite; loss_scale is now {scale}"
            ))?;
        }
        self.observer.event(Event::Step {
            step,
            total,
            done: self.position().done,
            loss: record.loss,
            lr: record.lr,
            grad_norm: record.grad_norm,
            batch_tokens,
            step_ms: record.step_ms,
            train_s: train_ms / 1e3,
        });
        if last && total.is_none_or(|total| step < total) {
            let line = format!(
                "stopping_early: wallclock_cap train_time:{train_ms:.0}ms step:{}",
                self.step_of()
            );
            self.note(&line)?;
        }
        Ok(())
    }

    pub(super) fn record_score(&mut self, what: &'static str, score: &Score) -> Result<()> {
        let step = self.state.step;
        let Score { val_loss, val_bpb, tokens, bytes } = *score;
        self.logs.record(&json!({
            "event": "val",
            "what": what,
            "step": step,
            "val_loss": val_loss,
            "val_bpb": val_bpb,
            "tokens": tokens,
            "bytes": bytes,
        }))?;
        if what != "artifact" {
            let clock = self.clock();
            self.logs.line(&format!(
                "step:{} val_loss:{val_loss:.4} val_bpb:{val_bpb:.4} {clock}",
                self.step_of()
            ))?;
        }
        self.observer.event(Event::Validated { step, score, what });
        Ok(())
    }

    /// `step/total`, with 0 for a total that only the clock decides.
    fn step_of(&self) -> String {
        format!("{}/{}", self.state.step, self.config.total_steps().unwrap_or(0))
    }

    fn clock(&self) -> String {
        let train_ms = self.state.train_ms;
        let average = train_ms / self.state.step.max(1) as f64;
        format!("train_time:{train_ms:.0}ms step_avg:{average:.2}ms")
    }
}
