//! What a run is about, before it starts.

use aneal_golf::shard::TokenStream;
use aneal_train::RunConfig;
use aneal_train::config::Decay;

use crate::backend::Predicted;
use crate::output::grouped;

/// A few lines, each a name and what there is to know.
pub(super) fn text(
    config: &RunConfig,
    backend: &str,
    train: &TokenStream,
    val: &TokenStream,
    predicted: Option<Predicted>,
) -> String {
    let mut rows = vec![
        ("preset", config.name.clone()),
        ("model", model(config)),
        ("data", format!("{} for training, {} for validation", stream(train), stream(val))),
        ("update", update(config)),
        ("recipe", recipe(config)),
        ("limit", limit(config)),
        ("backend", backend.to_owned()),
    ];
    if let Some(Predicted { device, update_ms, watts }) = predicted {
        let rate = grouped((config.batch.tokens as f64 / update_ms * 1e3) as u64);
        let text = format!(
            "{device}, predicted: {update_ms:.1} ms an update, {rate} tokens a second, {watts:.1} W"
        );
        rows.push(("device", text));
    }
    let lines = rows.iter().map(|(name, value)| format!("{name:<9}{value}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn model(config: &RunConfig) -> String {
    let m = &config.model;
    format!(
        "{} parameters: {} layers, dim {}, {} heads over {} of {}, hidden {}, vocabulary {}",
        grouped(m.parameters() as u64),
        m.layers,
        m.dim,
        m.heads,
        m.kv_heads,
        m.head_dim,
        m.hidden,
        grouped(m.vocab_size as u64)
    )
}

/// Tokens of a stream, and how its files are framed.
fn stream(stream: &TokenStream) -> String {
    let shards = stream.describe();
    let mut formats: Vec<String> = shards.iter().map(|shard| shard.format.to_string()).collect();
    formats.dedup();
    let files = if shards.len() == 1 { "file" } else { "files" };
    let (tokens, count, formats) = (grouped(stream.len()), shards.len(), formats.join(" and "));
    format!("{tokens} tokens ({count} {formats} {files})")
}

fn update(config: &RunConfig) -> String {
    let sequences = config.batch.tokens / config.seq_len();
    let (tokens, seq_len) = (grouped(config.batch.tokens as u64), config.seq_len());
    format!("{tokens} tokens: {sequences} sequences of {seq_len}")
}

fn recipe(config: &RunConfig) -> String {
    let (adamw, schedule) = (config.adamw(), &config.schedule);
    let embedding = adamw.embedding_lr.map(|lr| format!(" (embedding {lr})")).unwrap_or_default();
    let decay = match schedule.decay {
        Decay::Cosine => "cosine",
        Decay::Linear => "linear",
        Decay::Constant => "constant",
    };
    format!(
        "adamw, lr {}{embedding}, warm-up {} %, then {decay} to {} %; seed {}",
        adamw.lr,
        100.0 * schedule.warmup,
        100.0 * schedule.final_lr,
        config.seed
    )
}

fn limit(config: &RunConfig) -> String {
    let steps = config.total_steps().map(|steps| {
        let tokens = grouped(steps.saturating_mul(config.batch.tokens as u64));
        format!("{} updates = {tokens} tokens", grouped(steps))
    });
    let seconds = config.stop.seconds.map(|seconds| format!("{seconds} s of updates"));
    [steps, seconds].into_iter().flatten().collect::<Vec<_>>().join(", or ")
}
