//! Whole runs of a tiny model: interruption, resuming, and what is left on disk.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use aneal_golf::artifact::Artifact;
use aneal_model::cpu::Cpu;
use aneal_train::config::Layers;
use aneal_train::data::{BuiltIn, Data};
use aneal_train::run_folder::RunFolder;
use aneal_train::{Error, Event, Observer, Outcome, RunConfig, Summary, Trainer, checkpoint};

/// Raises a flag after a number of updates.
struct StopAfter<'a> {
    steps: u64,
    flag: &'a AtomicBool,
}

impl Observer for StopAfter<'_> {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Step { step, .. } = event
            && step >= self.steps
        {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
}

fn config(sampler: &str) -> RunConfig {
    let mut layers = Layers::preset("quickstart").unwrap();
    for setting in [
        "model.dim=32",
        "model.layers=1",
        "model.heads=2",
        "model.kv_heads=1",
        "model.head_dim=16",
        "model.hidden=48",
        "model.seq_len=16",
        "batch.tokens=64",
        "stop.steps=12",
        "eval.every=4",
        "eval.max_tokens=200",
        "sample.every=6",
        "sample.max_tokens=8",
        "checkpoint.every=2",
        "loss_scale=256.0",
    ] {
        layers.assign(setting).unwrap();
    }
    layers.unset("stop");
    layers.assign("stop.steps=12").unwrap();
    layers.assign(&format!("data.sampler={sampler}")).unwrap();
    layers.resolve().unwrap()
}

fn corpus() -> String {
    let words = ["the", "whale", "said", "nothing", "of", "Congress", "and", "its", "tables"];
    let mut text = String::new();
    for document in 0..40 {
        for word in 0..60 {
            text.push_str(words[(document * 7 + word * word) % words.len()]);
            text.push(' ');
        }
        text.push_str("\n<|doc|>\n");
    }
    text
}

/// Runs until `steps` updates are made, in a process of its own as far as the run can tell.
fn session(folder: RunFolder, config: RunConfig, steps: u64) -> Result<Outcome, Error> {
    let tokenizer =
        fs::read(aneal_testing::workspace().join("assets/default-tokenizer.model")).unwrap();
    let built_in = BuiltIn { corpus: &corpus, tokenizer: &tokenizer };
    let lock = folder.lock()?;
    let data = Data::open(&config, &folder, built_in)?;
    folder.save_config(&config)?;
    let mut cpu = Cpu::new(&config.model, config.precision)?;
    let flag = AtomicBool::new(false);
    let mut observer = StopAfter { steps, flag: &flag };
    Trainer::new(config, folder, lock, data, &mut cpu, &mut observer)?.run(&flag)
}

fn start(root: &Path, config: &RunConfig, steps: u64) -> Result<Outcome, Error> {
    session(RunFolder::create(root)?, config.clone(), steps)
}

fn resume(root: &Path, steps: u64) -> Result<Outcome, Error> {
    let (folder, config) = RunFolder::open(root)?;
    session(folder, config, steps)
}

fn summary(outcome: Outcome) -> Summary {
    match outcome {
        Outcome::Finished(summary) => *summary,
        Outcome::Interrupted { step } => panic!("interrupted at step {step}"),
    }
}

/// The training steps that `metrics.jsonl` records, without what depends on the clock.
fn steps(root: &Path) -> Vec<(u64, u64, u64)> {
    let text = fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|record| record["event"] == "step")
        .map(|record| {
            let bits = |key: &str| record[key].as_f64().unwrap().to_bits();
            (record["step"].as_u64().unwrap(), bits("train_loss"), bits("grad_norm"))
        })
        .collect()
}

#[test]
fn an_interrupted_run_ends_like_an_uninterrupted_one() {
    for sampler in ["stream", "uniform"] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(sampler);
        let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
        let want = summary(start(&whole, &config, u64::MAX).unwrap());
        assert_eq!(start(&parts, &config, 3).unwrap(), Outcome::Interrupted { step: 3 });
        assert_eq!(resume(&parts, 8).unwrap(), Outcome::Interrupted { step: 8 });
        let got = summary(resume(&parts, u64::MAX).unwrap());

        for file in
            ["checkpoints/step-000012/model.safetensors", "artifact.bin", "samples/step-000012.txt"]
        {
            let read = |root: &Path| fs::read(root.join(file)).unwrap();
            assert!(read(&whole) == read(&parts), "{sampler}: {file} differs");
        }
        let moments = "checkpoints/step-000012/optimizer.safetensors";
        assert!(fs::read(whole.join(moments)).unwrap() == fs::read(parts.join(moments)).unwrap());
        assert_eq!(steps(&whole), steps(&parts), "{sampler}");
        assert_eq!(got.val_bpb, want.val_bpb);
        assert_eq!(want.steps, 12);
        assert!(want.val_bpb_before < want.val_bpb_untrained.unwrap(), "{want:?}");
    }
}

#[test]
fn what_a_killed_process_leaves_is_cut_off_and_cleaned_up() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let config = config("uniform");
    start(&root, &config, 5).unwrap();
    // A process killed later would leave log lines beyond the checkpoint and half a checkpoint.
    for log in ["metrics.jsonl", "train.log"] {
        let mut text = fs::read(root.join(log)).unwrap();
        text.extend_from_slice(b"{\"event\":\"step\",\"step\":6,\"train_lo");
        fs::write(root.join(log), text).unwrap();
    }
    let partial = root.join("checkpoints/.partial-xyz");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("model.safetensors"), b"half").unwrap();
    let summary = summary(resume(&root, u64::MAX).unwrap());
    assert_eq!(steps(&root).iter().map(|s| s.0).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert!(!partial.exists());

    // Resuming a finished run ends it again with the same result.
    let finished = root.join("checkpoints/step-000012");
    let aside = root.join("checkpoints/.old-step-000012");
    let again = match resume(&root, u64::MAX).unwrap() {
        Outcome::Finished(again) => *again,
        other => panic!("{other:?}"),
    };
    assert_eq!((again.val_bpb, again.artifact_bytes), (summary.val_bpb, summary.artifact_bytes));

    // Killed between setting a checkpoint aside and putting its successor in its place.
    fs::rename(&finished, &aside).unwrap();
    let again = match resume(&root, u64::MAX).unwrap() {
        Outcome::Finished(again) => *again,
        other => panic!("{other:?}"),
    };
    assert_eq!((again.steps, again.val_bpb), (12, summary.val_bpb));
    assert!(finished.exists() && !aside.exists());

    let (model, params) = Artifact::read(&root.join("artifact.bin")).unwrap().unpack(None).unwrap();
    assert_eq!(model, config.model);
    assert_eq!(params.values().len(), config.model.parameters());
}

#[test]
fn the_newest_and_the_best_checkpoints_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    start(&root, &config("stream"), u64::MAX).unwrap();
    let kept = checkpoint::list(&root.join("checkpoints")).unwrap();
    let steps: Vec<u64> = kept.iter().map(|(step, _)| *step).collect();
    let states: Vec<_> =
        kept.iter().map(|(_, path)| checkpoint::read_state(path).unwrap()).collect();
    assert!(steps.len() <= 3 && steps.ends_with(&[10, 12]), "{steps:?}");
    let best = states.last().unwrap().best_val_bpb.unwrap();
    assert!(states.iter().any(|state| state.val_bpb == Some(best)), "{states:?}");
}

#[test]
fn bad_folders_and_checkpoints_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let config = config("stream");
    start(&root, &config, 2).unwrap();
    let message = start(&root, &config, 2).unwrap_err().to_string();
    assert!(message.contains("--resume"), "{message}");
    let message = resume(dir.path(), 2).unwrap_err().to_string();
    assert!(message.contains("no run is there"), "{message}");

    let lock = RunFolder::open(&root).unwrap().0.lock().unwrap();
    let message = resume(&root, 4).unwrap_err().to_string();
    assert!(message.contains("another process"), "{message}");
    drop(lock);
    let log = root.join("metrics.jsonl");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..10]).unwrap();
    let message = resume(&root, 4).unwrap_err().to_string();
    assert!(message.contains("10 bytes"), "{message}");
    fs::write(&log, whole).unwrap();

    let saved = root.join("checkpoints/step-000002");
    type Damage = fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, &str, Damage); 6] = [
        ("model.safetensors", "model.safetensors", |b| b[..b.len() / 2].to_vec()),
        ("model.safetensors", "model.safetensors", |_| b"not a tensor file".to_vec()),
        ("model.safetensors", "aneal", |b| {
            let name = b"aneal.model";
            let at = b.windows(name.len()).position(|w| w == name).unwrap();
            let mut bytes = b.to_vec();
            bytes[at] = b'o';
            bytes
        }),
        ("optimizer.safetensors", "optimizer.safetensors", |b| b[..b.len() - 1].to_vec()),
        ("state.json", "state.json", |b| b[..b.len() - 2].to_vec()),
        ("state.json", "version", |b| {
            String::from_utf8(b.to_vec())
                .unwrap()
                .replacen("\"version\": 1", "\"version\": 9", 1)
                .into_bytes()
        }),
    ];
    for (file, expected, damage) in cases {
        let path = saved.join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, damage(&whole)).unwrap();
        let message = resume(&root, 4).unwrap_err().to_string();
        assert!(message.contains(expected), "{file}: {message}");
        fs::write(&path, whole).unwrap();
    }
    // A header that claims more than the file holds must not be believed.
    let path = saved.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(resume(&root, 4).is_err());
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let message = RunFolder::create(&file.join("run")).unwrap_err().to_string();
    assert!(message.contains("cannot create"), "{message}");
}

#[test]
fn a_tokenizer_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config("stream");
    config.model.vocab_size = 1000;
    let error = start(&dir.path().join("run"), &config, 1).unwrap_err();
    assert!(error.to_string().contains("1024 ids"), "{error}");
}
