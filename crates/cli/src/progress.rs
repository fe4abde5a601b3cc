//! A run as the person at the terminal sees it: a bar on a terminal, plain lines elsewhere.

mod introduction;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use aneal_train::{Event, Observer};
use indicatif::{ProgressBar, ProgressStyle};

use crate::backend::Predicted;
use crate::output::{grouped, note};

/// Between two plain lines about updates, where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Updates whose time does not count towards the rate: buffers grow and caches fill.
const UNTIMED_STEPS: u64 = 2;

/// Shows events on stderr.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last_plain: Option<Instant>,
    /// Smoothed milliseconds an update.
    step_ms: Option<f64>,
    /// Smoothed training loss.
    loss: Option<f64>,
    /// What an update would take elsewhere.
    predicted: Option<Predicted>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:24} {percent:>3}%  {wide_msg}");
            let bar = ProgressBar::new(1000);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, last_plain: None, step_ms: None, loss: None, predicted: None }
    }

    /// Shows what a device would take beside what this machine takes.
    pub(crate) fn beside(self, predicted: Option<Predicted>) -> Self {
        Self { predicted, ..self }
    }

    /// Takes the bar away; later text is not disturbed by it.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }

    fn show(&mut self, done: f64, message: String, always: bool) {
        if let Some(bar) = &self.bar {
            bar.set_position((1000.0 * done) as u64);
            bar.set_message(message);
            return;
        }
        let due = self.last_plain.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL);
        if due || always {
            self.last_plain = Some(Instant::now());
            note(&format!("{:>4.0}%  {message}", 100.0 * done));
        }
    }
}

/// An exponential moving average that starts at its first value.
fn smooth(average: &mut Option<f64>, value: f64) -> f64 {
    let next = average.map_or(value, |old| 0.9 * old + 0.1 * value);
    *average = Some(next);
    next
}

impl Observer for Progress {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Started { config, backend, train, val } => {
                let text = introduction::text(config, backend, train, val, self.predicted);
                self.line(&text);
            }
            Event::Note(text) => self.line(text),
            Event::Step { step, total, done, loss, lr, batch_tokens, step_ms, train_s, .. } => {
                let loss = smooth(&mut self.loss, loss);
                if step > UNTIMED_STEPS || self.step_ms.is_none() {
                    smooth(&mut self.step_ms, step_ms);
                }
                let rate = self.step_ms.map_or(0.0, |ms| batch_tokens as f64 / ms * 1e3);
                let left = if done > 0.0 { train_s / done * (1.0 - done) } else { 0.0 };
                let eta = humantime::format_duration(Duration::from_secs(left.round() as u64));
                let of = total.map(|total| format!("/{total}")).unwrap_or_default();
                let mut message = format!(
                    "step {step}{of}  loss {loss:.4}  lr {lr:.2e}  {} tok/s  eta {eta}",
                    grouped(rate as u64)
                );
                if let (Some(Predicted { device, update_ms, .. }), Some(ms)) =
                    (self.predicted, self.step_ms)
                {
                    message += &format!("  {ms:.0} ms here, {device} predicted {update_ms:.1} ms");
                }
                self.show(done, message, false);
            }
            Event::Validating { done, total } => {
                let share = done as f64 / total as f64;
                let message = format!("scoring {} of {} targets", grouped(done), grouped(total));
                if self.bar.is_some() || total > 1_000_000 {
                    self.show(share, message, false);
                }
            }
            Event::Validated { step, score, what } => self.line(&format!(
                "step {step}: {what}: val_loss {:.4}  val_bpb {:.4}  ({} tokens, {} bytes)",
                score.val_loss,
                score.val_bpb,
                grouped(score.tokens),
                grouped(score.bytes)
            )),
            Event::Sampled { step, text } => self.line(&format!("step {step}: sample: {text}")),
            Event::Saved { path, .. } => self.line(&format!("saved {}", path.display())),
            Event::Packed { path, bytes } => {
                self.line(&format!("packed {}: {} bytes", path.display(), grouped(bytes)));
            }
            _ => {}
        }
    }
}
