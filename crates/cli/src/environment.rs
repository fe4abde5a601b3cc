//! The challenge's environment variables as a configuration layer.
//!
//! Names are those of the challenge's training scripts.

use aneal_train::config::Layers;

use crate::output::usage;

/// Variables that set one value each.
const SETTINGS: [(&str, &str); 20] = [
    ("SEED", "seed"),
    ("ITERATIONS", "stop.steps"),
    ("TRAIN_BATCH_TOKENS", "batch.tokens"),
    ("GRAD_ACCUM_STEPS", "batch.grad_accum"),
    ("TRAIN_SEQ_LEN", "model.seq_len"),
    ("VOCAB_SIZE", "model.vocab_size"),
    ("NUM_LAYERS", "model.layers"),
    ("MODEL_DIM", "model.dim"),
    ("NUM_HEADS", "model.heads"),
    ("NUM_KV_HEADS", "model.kv_heads"),
    ("ROPE_BASE", "model.rope_theta"),
    ("VAL_LOSS_EVERY", "eval.every"),
    ("TRAIN_LOG_EVERY", "log_every"),
    ("BETA1", "optimizer.beta1"),
    ("BETA2", "optimizer.beta2"),
    ("ADAM_EPS", "optimizer.eps"),
    ("GRAD_CLIP_NORM", "optimizer.grad_clip"),
    ("LEARNING_RATE", "optimizer.lr"),
    ("TIED_EMBED_LR", "optimizer.embedding_lr"),
    ("WEIGHT_DECAY", "optimizer.weight_decay"),
];

/// Variables that name files.
const PATHS: [(&str, &str); 2] = [("DATA_PATH", "data.path"), ("TOKENIZER_PATH", "data.tokenizer")];

/// One paragraph of `aneal train --help`.
pub(crate) const HELP: &str = "\
Environment: the challenge's variables lie between the configuration file and the flags: \
SEED, ITERATIONS, MAX_WALLCLOCK_SECONDS (0 for none), DATA_PATH, TOKENIZER_PATH, RUN_ID and OUT_DIR \
(the folder OUT_DIR/RUN_ID), TRAIN_BATCH_TOKENS, GRAD_ACCUM_STEPS, TRAIN_SEQ_LEN, VOCAB_SIZE, NUM_LAYERS, MODEL_DIM, \
NUM_HEADS, NUM_KV_HEADS, MLP_MULT, ROPE_BASE, VAL_LOSS_EVERY, TRAIN_LOG_EVERY, BETA1, BETA2, \
ADAM_EPS, GRAD_CLIP_NORM, LEARNING_RATE, TIED_EMBED_LR, WEIGHT_DECAY.";

/// Largest size of a model, so that products of two stay exact.
const LARGEST: f64 = 16_777_216.0;

/// Lays the environment over a configuration, `lookup` being [`std::env::var`] or a test's table.
///
/// As in the challenge's scripts, `MODEL_DIM` and `NUM_HEADS` imply the head width, and `MLP_MULT`
/// the hidden width.
pub(crate) fn apply(
    layers: &mut Layers,
    lookup: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<()> {
    let number = |name: &str| -> anyhow::Result<Option<f64>> {
        let Some(text) = lookup(name) else { return Ok(None) };
        let value =
            text.trim().parse().map_err(|_| usage(format!("{name}={text} is no number")))?;
        Ok(Some(value))
    };
    let size = |name: &str| -> anyhow::Result<Option<usize>> {
        match number(name)? {
            Some(n) if !(1.0..=LARGEST).contains(&n) || n.fract() != 0.0 => {
                Err(usage(format!("{name}={n} must be a whole number from 1 to {LARGEST}")))
            }
            n => Ok(n.map(|n| n as usize)),
        }
    };
    for (name, path) in SETTINGS {
        if let Some(text) = lookup(name) {
            number(name)?;
            layers.assign(&format!("{path}={}", text.trim()))?;
        }
    }
    for (name, path) in PATHS {
        if let Some(value) = lookup(name) {
            layers.set(path, value);
        }
    }
    match number("MAX_WALLCLOCK_SECONDS")? {
        Some(seconds) if seconds > 0.0 => layers.set("stop.seconds", seconds),
        Some(_) => layers.unset("stop.seconds"),
        None => {}
    }
    let (dim, heads) = (size("MODEL_DIM")?, size("NUM_HEADS")?);
    let mult = size("MLP_MULT")?;
    if dim.is_some() || heads.is_some() || mult.is_some() {
        let model = layers.model()?;
        let (dim_now, heads_now) = (dim.unwrap_or(model.dim), heads.unwrap_or(model.heads));
        if dim.is_some() || heads.is_some() {
            if !dim_now.is_multiple_of(heads_now) {
                let text = format!("NUM_HEADS={heads_now} must divide MODEL_DIM={dim_now}");
                return Err(usage(text));
            }
            layers.set("model.head_dim", (dim_now / heads_now) as i64);
        }
        if let Some(mult) = mult {
            layers.set("model.hidden", (mult * dim_now) as i64);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(variables: &[(&str, &str)]) -> anyhow::Result<aneal_train::RunConfig> {
        let mut layers = Layers::preset("pr801")?;
        apply(&mut layers, |name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })?;
        Ok(layers.resolve()?)
    }

    #[test]
    fn the_challenge_s_names_set_what_they_set_there() {
        let config = applied(&[
            ("TRAIN_BATCH_TOKENS", "8192"),
            ("GRAD_ACCUM_STEPS", "8"),
            ("TRAIN_SEQ_LEN", "128"),
            ("MODEL_DIM", "384"),
            ("NUM_HEADS", "6"),
            ("NUM_KV_HEADS", "3"),
            ("MLP_MULT", "3"),
            ("ADAM_EPS", "1e-9"),
            ("SEED", "7"),
            ("MAX_WALLCLOCK_SECONDS", "600"),
            ("DATA_PATH", "shards"),
        ])
        .unwrap();
        assert_eq!((config.batch.tokens, config.batch.grad_accum), (8192, 8));
        let model = &config.model;
        assert_eq!((model.seq_len, model.dim, model.head_dim, model.hidden), (128, 384, 64, 1152));
        assert_eq!(config.adamw().eps, 1e-9);
        assert_eq!((config.seed, config.stop.steps), (7, Some(250)));
        assert_eq!(config.stop.seconds, Some(600.0));
        assert_eq!(config.data.path, Some("shards".into()));
        let uncapped = applied(&[("MAX_WALLCLOCK_SECONDS", "0")]).unwrap();
        assert_eq!(uncapped.stop.seconds, None);
        assert_eq!(applied(&[]).unwrap().batch.tokens, 5120);
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        for (name, value) in
            [("MODEL_DIM", "wide"), ("TRAIN_BATCH_TOKENS", ""), ("MLP_MULT", "1.5")]
        {
            let message = applied(&[(name, value)]).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
        assert!(applied(&[("NUM_HEADS", "7")]).is_err());
    }
}
