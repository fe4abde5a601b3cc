//! The loop: batch, gradients, update; validation, samples and checkpoints when they are due.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aneal_golf::score::{Score, Windows, score};
use aneal_model::{Backend, Grads, init};
use serde_json::json;

use crate::checkpoint::{self, State};
use crate::data::Data;
use crate::generate::{Request, generate};
use crate::loss_scale::LossScaler;
use crate::optimizer;
use crate::run_folder::{Lock, Logs, RunFolder};
use crate::sampler::Sampler;
use crate::schedule::Position;
use crate::update::{Learner, Settings};
use crate::{Event, Observer, Result, RunConfig};

mod finish;
mod journal;
mod resume;

pub use finish::Summary;

/// The first so many updates are all logged, as the challenge's script does.
const LOGGED_FROM_THE_START: u64 = 10;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It reached its end.
    Finished(Box<Summary>),
    /// It was asked to stop and saved its place.
    Interrupted {
        /// Updates made.
        step: u64,
    },
}

/// A run in progress.
pub struct Trainer<'a> {
    config: RunConfig,
    folder: RunFolder,
    _lock: Lock,
    data: Data,
    backend: &'a mut dyn Backend,
    learner: Learner,
    state: State,
    logs: Logs,
    observer: &'a mut dyn Observer,
}

impl<'a> Trainer<'a> {
    /// Starts a run, or continues the one whose checkpoint is in the folder, which `lock` claims.
    ///
    /// # Errors
    /// A folder, checkpoint or data set that does not fit.
    pub fn new(
        config: RunConfig,
        folder: RunFolder,
        lock: Lock,
        data: Data,
        backend: &'a mut dyn Backend,
        observer: &'a mut dyn Observer,
    ) -> Result<Self> {
        let params = init(&config.model, config.seed);
        let optimizer = optimizer::new(&config, &params);
        let sampler = Sampler::new(config.data.sampler);
        let state = State::new(sampler, data.train.len(), LossScaler::new(config.loss_scale));
        let resumed = resume::latest(&folder, &config, &data)?;
        let position = resumed.as_ref().map(|r| r.state.log).unwrap_or_default();
        let grads = Grads::zeros(params.layout());
        let mut trainer = Self {
            logs: folder.logs(position)?,
            config,
            folder,
            _lock: lock,
            data,
            backend,
            learner: Learner { params, grads, optimizer },
            state,
            observer,
        };
        let backend = trainer.backend.describe();
        trainer.observer.event(Event::Started {
            config: &trainer.config,
            backend: &backend,
            train: &trainer.data.train,
            val: &trainer.data.val,
        });
        match resumed {
            Some(resumed) => trainer.restore(resumed)?,
            None => trainer.introduce()?,
        }
        trainer.backend.stage(&trainer.learner.params)?;
        Ok(trainer)
    }

    /// Runs to the end, or until `stop` becomes true; then the update at hand is finished and saved.
    ///
    /// # Errors
    /// Failing hardware or files, gradients that stay infinite. The last checkpoint stays good.
    pub fn run(mut self, stop: &AtomicBool) -> Result<Outcome> {
        if self.state.step == 0 {
            let score = self.validate("untrained")?;
            self.state.untrained_val_bpb = Some(score.val_bpb);
        }
        while !self.over() {
            if stop.load(Ordering::Relaxed) {
                self.save()?;
                let step = self.state.step;
                self.note(&format!("interrupted: step:{step}"))?;
                return Ok(Outcome::Interrupted { step });
            }
            self.step()?;
            let due = |every: u64| every > 0 && self.state.step.is_multiple_of(every);
            let (eval, sample, save) = (
                due(self.config.eval.every),
                due(self.config.sample.every),
                due(self.config.checkpoint.every),
            );
            if self.over() {
                break;
            }
            let improved = eval && self.validate_and_compare()?.1;
            if sample && self.config.sample.max_tokens > 0 {
                self.sample()?;
            }
            if save || improved {
                self.save()?;
            }
        }
        Ok(Outcome::Finished(Box::new(self.finish()?)))
    }

    /// Whether a limit is reached.
    fn over(&self) -> bool {
        let steps = self.config.total_steps().is_some_and(|total| self.state.step >= total);
        let time = self.config.stop.seconds.is_some_and(|s| self.state.train_ms >= 1e3 * s);
        steps || time
    }

    /// How far the run is: by updates where their number is limited, so that the learning rate does
    /// not depend on the clock, else by time.
    fn position(&self) -> Position {
        let step = self.state.step;
        if let Some(total) = self.config.total_steps() {
            return Position { done: step as f64 / total as f64, step: 1.0 / total as f64 };
        }
        let limit_ms = self.config.stop.seconds.map_or(f64::INFINITY, |seconds| 1e3 * seconds);
        let done = (self.state.train_ms / limit_ms).min(1.0);
        // Nothing is known of the first update but that it should not be lost to a rate of 0.
        Position { done, step: if step == 0 { 1e-3 } else { done / step as f64 } }
    }

    fn step(&mut self) -> Result<()> {
        let start = Instant::now();
        let batch = self.state.sampler.next(
            &self.data.train,
            self.config.seed,
            self.config.batch.grad_accum,
            self.config.sequences_per_span(),
            self.config.seq_len(),
        )?;
        let settings = Settings {
            step: self.state.step,
            multiplier: self.config.schedule.multiplier(self.position()),
            grad_clip: self.config.adamw().grad_clip,
            loss_scale_growth: self.config.loss_scale_growth,
        };
        let loss_scale = &mut self.state.loss_scale;
        let update = self.learner.update(self.backend, &batch, loss_scale, settings)?;
        let step_ms = start.elapsed().as_secs_f64() * 1e3;
        self.state.step += 1;
        self.state.tokens += batch.targets() as u64;
        self.state.train_ms += step_ms;
        self.state.val_bpb = None;
        self.state.optimizer_updates = self.learner.optimizer.updates();
        self.record_step(&journal::StepRecord {
            loss: update.loss,
            lr: self.learner.optimizer.peak_lr() * settings.multiplier,
            grad_norm: update.grad_norm,
            skipped: !update.accepted,
            step_ms,
        })
    }

    /// Validates, remembers the score, and says whether it was the best so far.
    fn validate_and_compare(&mut self) -> Result<(Score, bool)> {
        let score = self.validate("model")?;
        let best = score.val_bpb.is_finite()
            && self.state.best_val_bpb.is_none_or(|best| score.val_bpb < best);
        if best {
            self.state.best_val_bpb = Some(score.val_bpb);
        }
        self.state.val_bpb = Some(score.val_bpb);
        Ok((score, best))
    }

    fn validate(&mut self, what: &'static str) -> Result<Score> {
        let seq_len = self.config.seq_len();
        let windows = Windows {
            seq_len,
            stride: self.config.eval.stride.unwrap_or(seq_len),
            max_tokens: self.config.eval.max_tokens,
        };
        let Self { backend, data, observer, .. } = self;
        let score = score(*backend, &data.val, &data.bytes, windows, &mut |done, total| {
            observer.event(Event::Validating { done, total });
        })?;
        self.record_score(what, &score)?;
        Ok(score)
    }

    fn sample(&mut self) -> Result<String> {
        let Self { config, learner, data, .. } = self;
        let settings = &config.sample;
        let request = Request {
            prompt: &settings.prompt,
            max_tokens: settings.max_tokens,
            sampling: settings.sampling,
            seed: config.seed,
        };
        let mut text = settings.prompt.clone();
        generate(&config.model, &learner.params, &data.tokenizer, &request, &mut |piece| {
            text.push_str(piece);
        })?;
        let step = self.state.step;
        self.folder.write_sample(step, &text)?;
        self.logs.record(&json!({ "event": "sample", "step": step, "text": text }))?;
        self.observer.event(Event::Sampled { step, text: &text });
        Ok(text)
    }

    fn save(&mut self) -> Result<()> {
        self.state.log = self.logs.sync()?;
        let folder = self.folder.checkpoints();
        let path = checkpoint::save(
            &folder,
            &self.config.model,
            &self.learner.params,
            self.learner.optimizer.as_ref(),
            &self.state,
        )?;
        checkpoint::prune(&folder, self.config.checkpoint.keep)?;
        self.observer.event(Event::Saved { step: self.state.step, path: &path });
        Ok(())
    }
}
