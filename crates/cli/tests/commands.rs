//! The commands as a user runs them: what they print, what they leave, how they refuse.

#![allow(clippy::unwrap_used, clippy::panic)]

mod case;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use case::{Case, TINY, number};
use serde_json::Value;

#[test]
fn train_reports_and_leaves_a_whole_run_folder() {
    let case = Case::new();
    let summary = case.train(&[]);
    for key in ["val_loss", "val_bpb", "artifact_bytes", "tokens", "wall_s"] {
        assert!(number(&summary, key) > 0.0, "{key}");
    }
    assert_eq!(summary["tokens"], 768);
    assert_eq!(summary["run_dir"], "run");
    for name in [
        "config.toml",
        "tokenizer.model",
        "train.log",
        "metrics.jsonl",
        "artifact.bin",
        "data/fineweb_train_000000.bin",
        "data/fineweb_val_000000.bin",
        "checkpoints/step-000006/model.safetensors",
        "checkpoints/step-000006/optimizer.safetensors",
        "checkpoints/step-000006/state.json",
        "samples/step-000006.txt",
    ] {
        assert!(case.path("run").join(name).exists(), "{name}");
    }
    let log = fs::read_to_string(case.path("run/train.log")).unwrap();
    for line in [
        "model_params:",
        "step:6/6 train_loss:",
        "step:6/6 val_loss:",
        "Serialized model int8+zlib: ",
        "final_int8_zlib_roundtrip_exact val_loss:",
    ] {
        assert!(log.lines().any(|l| l.starts_with(line)), "{line} in {log}");
    }
    // The saved configuration alone repeats the run.
    let again = case.json(&["train", "--config", "run/config.toml", "--out", "again"]);
    assert_eq!(again["val_bpb"], summary["val_bpb"]);
    let artifact = |run: &str| fs::read(case.path(run).join("artifact.bin")).unwrap();
    assert!(artifact("run") == artifact("again"));
}

#[test]
fn eval_pack_and_generate_agree_about_one_model() {
    let case = Case::new();
    let summary = case.train(&[]);
    let artifact = ["eval", "--artifact", "run/artifact.bin", "--max-tokens", "4096"];
    let score = case.json(&[&artifact[..], &["--stride", "32"]].concat());
    assert_eq!(score["val_bpb"], summary["val_bpb"]);
    assert_eq!(score["tokens"], 4096);
    let sliding = case.json(&[&artifact[..], &["--stride", "7"]].concat());
    assert_eq!(sliding["tokens"], 4096);
    assert_eq!(sliding["bytes"], score["bytes"]);

    let packed = case.json(&["pack", "run", "-o", "again.bin", "--max-tokens", "4096"]);
    assert_eq!(packed["val_bpb_after"], summary["val_bpb"]);
    assert_eq!(packed["val_bpb_before"], summary["val_bpb_before"]);
    assert!(
        fs::read(case.path("again.bin")).unwrap()
            == fs::read(case.path("run/artifact.bin")).unwrap()
    );
    let floor = ["pack", "run", "-o", "floor.bin", "--reference-floor", "--no-score"];
    assert_eq!(case.json(&floor)["scheme"], "reference");

    let generate = |seed: &str| {
        let args =
            ["generate", "--checkpoint", "run", "--prompt", "The ship", "--max-tokens", "20"];
        case.json(&[&args[..], &["--seed", seed]].concat())
    };
    assert_eq!(generate("1")["text"], generate("1")["text"]);
    assert_ne!(generate("1")["text"], generate("2")["text"]);
    let output = case.run(&["generate", "--artifact", "run/artifact.bin", "--prompt", "The ship"]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("The ship"));
}

#[test]
fn text_becomes_shards_that_train_and_eval_take() {
    let case = Case::new();
    let text: String = (0..60).map(|i| format!("Document {i} says a little.\n<|doc|>\n")).collect();
    fs::write(case.path("text.txt"), text).unwrap();
    let made = case.json(&["data", "tokenize", "text.txt", "-o", "shards", "--val-percent", "10"]);
    assert_eq!((&made["train"]["documents"], &made["val"]["documents"]), (&54.into(), &6.into()));
    let seen = case.json(&["data", "inspect", "shards"]);
    assert_eq!(seen["shards"][0]["documents"], 54);
    assert_eq!(seen["shards"][0]["format"], "golf");
    assert!(seen["shards"][0]["text"].as_str().unwrap().starts_with("Document 0 says a little."));
    let summary = case.train(&["--data", "shards", "--set", "sample.max_tokens=0"]);
    let args = ["eval", "--checkpoint", "run", "--data", "shards", "--stride", "32"];
    assert_eq!(case.json(&args)["val_bpb"], summary["val_bpb_before"]);
    let summary =
        case.json(&[&["train", "--out", "other", "--text", "text.txt"], &TINY[..]].concat());
    assert!(number(&summary, "val_bpb") > 0.0);
}

#[test]
fn the_first_official_tokens_count_2648_bytes() {
    let (Some(tokens), Some(tokenizer)) = (
        aneal_testing::third_party("val_first_1025_tokens.json"),
        aneal_testing::third_party("golf_fineweb_1024_bpe.model"),
    ) else {
        return;
    };
    let json: Value = serde_json::from_str(&fs::read_to_string(tokens).unwrap()).unwrap();
    let ids = json.as_array().or_else(|| json["tokens"].as_array()).unwrap();
    let ids: Vec<u32> = ids.iter().map(|id| id.as_u64().unwrap() as u32).collect();
    assert_eq!(ids.len(), 1025);
    let case = Case::new();
    let mut writer = aneal_golf::shard::ShardWriter::create(&case.path("first.bin"), 1024).unwrap();
    writer.write(&ids).unwrap();
    writer.finish().unwrap();
    case.train(&[]);
    for stride in ["1", "32"] {
        let score = case.json(&[
            "eval",
            "--checkpoint",
            "run",
            "--data",
            "first.bin",
            "--tokenizer",
            tokenizer.to_str().unwrap(),
            "--stride",
            stride,
        ]);
        assert_eq!((&score["tokens"], &score["bytes"]), (&1024.into(), &2648.into()));
    }
}

#[test]
fn a_run_keeps_its_precision() {
    let case = Case::new();
    for precision in ["f32", "bf16"] {
        let folder = format!("{precision}-run");
        let args = [&["train", "--out", &folder, "--precision", precision], &TINY[..]].concat();
        case.json(&args);
        let saved = fs::read_to_string(case.path(&folder).join("config.toml")).unwrap();
        assert!(saved.contains(&format!("precision = \"{precision}\"")), "{saved}");
    }
    let score = |run: &str, precision: &str| {
        let args = ["eval", "--checkpoint", run, "--precision", precision, "--max-tokens", "2000"];
        number(&case.json(&args), "val_bpb")
    };
    // Six updates of a tiny model: the same but for rounding, and not exactly the same.
    let (wide, rounded) = (score("f32-run", "f32"), score("f32-run", "bf16"));
    assert!(wide != rounded && (wide - rounded).abs() < 0.01 * wide, "{wide} and {rounded}");
}

#[test]
fn bench_measures_what_was_asked_for() {
    let case = Case::new();
    let common = ["--preset", "quickstart", "--batch-tokens", "512", "--repeats", "1"];
    let all = [&["bench", "--eval-tokens", "1000"], &common[..]].concat();
    let report = case.json(&all);
    for key in [
        "peak_bf16_gflops",
        "peak_f32_gflops",
        "products_gflops",
        "train_step_tokens_per_s",
        "train_step_gflops",
        "train_update_tokens_per_s",
        "eval_tokens_per_s",
    ] {
        assert!(number(&report, key) > 0.0, "{key} of {report}");
    }
    let shares = report["train_step_ops"].as_array().unwrap().iter().map(|op| number(op, "share"));
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-9, "shares of {report}");
    assert_eq!(number(&report, "eval_tokens"), 1000.0);

    let only = [&["bench", "--only", "peak"], &common[..]].concat();
    let report = case.json(&only);
    assert!(report.get("train_step_tokens_per_s").is_none() && report.get("products").is_none());
    case.refused(&["bench", "--batch-tokens", "100"], 2, "sequences of 256");
    case.refused(&["bench", "--preset", "gpt5"], 2, "golfwide");
}

#[test]
fn an_instruction_set_can_be_forbidden_by_name_only() {
    let case = Case::new();
    let kernels = |level| {
        let output = case.run_with(level, &["bench", "--kernels"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), output.stderr)
    };
    let (code, text, _) = kernels(Some("portable"));
    assert_eq!(code, Some(0));
    assert_eq!(text.matches("portable").count(), 2, "{text}");
    let (code, _, errors) = kernels(Some("sse9"));
    let errors = String::from_utf8(errors).unwrap();
    assert!(code == Some(2) && errors.contains("sse9") && errors.contains("avx2"), "{errors}");
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_wrong() {
    let case = Case::new();
    let cases: [(&[&str], &str); 11] = [
        (&["train", "--preset", "gpt5"], "quickstart, golfwide"),
        (&["train", "--set", "model.layers=0"], "model.layers = 0"),
        (&["train", "--set", "model.kv_heads=3"], "must divide heads"),
        (&["train", "--set", "optimizer.lrr=1"], "lrr"),
        (&["train", "--steps", "many"], "--steps"),
        (&["train", "--config", "a.toml", "--preset", "pr801"], "cannot be used with"),
        (&["train", "--set", "batch.seq_len=99999"], "batch.seq_len"),
        (&["generate", "--checkpoint", "x", "--temperature=-1"], "temperature"),
        (&["eval"], "--checkpoint"),
        (&["train", "--resume", "x", "--steps", "9"], "cannot be used with"),
        (&["train", "--set", "model.dim=16777216", "--set", "model.hidden=16777216"], "too many"),
    ];
    for (args, expected) in cases {
        case.refused(args, 2, expected);
        assert!(!case.path("runs").exists(), "{args:?} left a run folder");
    }
}

#[test]
fn bad_files_exit_with_1_and_are_named() {
    let case = Case::new();
    case.train(&[]);
    let write = |name: &str, bytes: &[u8]| fs::write(case.path(name), bytes).unwrap();
    let shard = fs::read(case.path("run/data/fineweb_val_000000.bin")).unwrap();
    write("truncated.bin", &shard[..shard.len() - 2]);
    write("long.bin", &[&shard[..], &[0, 0]].concat());
    write("empty.bin", &[]);
    write("odd.bin", &[1, 2, 3]);
    let mut foreign = shard.clone();
    foreign[1024 + 2 * 70..][..2].copy_from_slice(&60_000_u16.to_le_bytes());
    write("foreign.bin", &foreign);
    let mut artifact = fs::read(case.path("run/artifact.bin")).unwrap();
    write("half.bin", &artifact[..artifact.len() / 2]);
    let middle = artifact.len() / 2;
    artifact[middle] ^= 0xFF;
    write("corrupt.bin", &artifact);
    write("text.txt", b"caf\xE9");
    write("readme.safetensors", b"# not weights");
    let eval = |data: &'static str| ["eval", "--checkpoint", "run", "--data", data];
    for (data, expected) in [
        ("truncated.bin", "bytes"),
        ("long.bin", "bytes"),
        ("empty.bin", "empty.bin"),
        ("odd.bin", "odd.bin"),
        ("foreign.bin", "60000"),
        ("absent.bin", "absent.bin"),
    ] {
        case.refused(&eval(data), 1, expected);
    }
    for (artifact, expected) in [
        ("half.bin", "half.bin"),
        ("corrupt.bin", "corrupt.bin"),
        ("text.txt", "text.txt"),
        ("absent.bin", "absent.bin"),
    ] {
        case.refused(&["eval", "--artifact", artifact], 1, expected);
    }
    case.refused(&["generate", "--checkpoint", "readme.safetensors"], 1, "not a usable");
    case.refused(&["eval", "--checkpoint", "run", "--tokenizer", "text.txt"], 1, "text.txt");
    case.refused(&["data", "tokenize", "text.txt", "-o", "shards"], 1, "not UTF-8");
    case.refused(&["data", "inspect", "truncated.bin"], 1, "truncated.bin");
    case.refused(&["train", "--out", "run"], 1, "--resume");
    case.refused(&["train", "--resume", "nowhere"], 1, "no run is there");
    let val = "run/data/fineweb_val_000000.bin";
    let tokenizer = ["--tokenizer", "run/tokenizer.model", "--out", "short"];
    case.refused(&[&["train", "--data", val], &tokenizer[..]].concat(), 2, "both training and");
    case.refused(&["train", "--data", "run/data", "--out", "short"], 2, "which tokenizer");
    write("notes.toml", b"layers = 2");
    case.refused(
        &["eval", "--artifact", "run/artifact.bin", "--model", "notes.toml"],
        2,
        "vocab_size",
    );
    write("run/config.toml", b"damaged");
    case.refused(&["generate", "--checkpoint", "run"], 2, "config.toml");
    // Long sequences on short data.
    write("short.txt", b"A few words only.\n<|doc|>\nAnd a few more.\n");
    case.refused(&["train", "--text", "short.txt", "--out", "short"], 1, "one sequence of 256");
    let tokenizer = ["--tokenizer", "text.txt", "--out", "short"];
    case.refused(&[&["train"], &tokenizer[..]].concat(), 1, "text.txt");
    assert!(!case.path("short").exists(), "what could not start leaves no folder");
}

/// Every file below a folder, hidden ones too.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn an_unwritable_place_is_refused_and_left_alone() {
    let case = Case::new();
    case.train(&[]);
    fs::write(case.path("file"), "").unwrap();
    let before = files(case.dir.path());
    case.refused(&["train", "--out", "file/run"], 1, "file/run");
    case.refused(&["pack", "run", "-o", "file/a.bin", "--no-score"], 1, "file");
    case.refused(&["pack", "run", "-o", "absent/a.bin", "--no-score"], 1, "absent");
    assert_eq!(files(case.dir.path()), before);
}

/// Files may not grow beyond a limit, which fails writes half-way as a full disk does.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let case = Case::new();
    let summary = case.train(&[]);
    let binary = assert_cmd::cargo::cargo_bin("aneal");
    let limited = |blocks: &str, args: &[&str]| {
        let script = "trap '' XFSZ; ulimit -f $0; exec \"$@\"";
        let output = Command::new("sh")
            .current_dir(case.dir.path())
            .args(["-c", script, blocks])
            .arg(&binary)
            .args(args)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "aneal {args:?}: {text}");
        assert!(text.contains("File too large"), "{text}");
    };
    let before = files(case.dir.path());
    limited("16", &["pack", "run", "-o", "a.bin", "--no-score"]);
    assert_eq!(files(case.dir.path()), before);
    // The end of a run saves a checkpoint, whose moments (320 kB) do not fit into 300 kB.
    limited("600", &["train", "--resume", "run"]);
    let left = files(&case.path("run/checkpoints"));
    assert!(left.iter().all(|path| !path.to_string_lossy().contains("partial")), "{left:?}");
    let again = case.json(&["train", "--resume", "run"]);
    assert_eq!(again["val_bpb"], summary["val_bpb"]);
    // Nothing of a run that could not even make its shards is taken for whole.
    limited("600", &["train", "--out", "other", "--steps", "1"]);
    assert!(!case.path("other/data/fineweb_val_000000.bin").exists());
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_run_after_the_update_and_it_resumes() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;

    let case = Case::new();
    let binary = assert_cmd::cargo::cargo_bin("aneal");
    let mut child = std::process::Command::new(binary)
        .current_dir(case.dir.path())
        .args(["train", "--out", "run"])
        .args(TINY)
        .args(["--set", "stop.steps=1000000"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let metrics = case.path("run/metrics.jsonl");
    let started = || fs::read_to_string(&metrics).is_ok_and(|text| text.contains("\"step\":3,"));
    for _ in 0..600 {
        if started() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let ended = child.wait().unwrap();
    assert_eq!((ended.code(), ended.signal()), (Some(130), None));
    let checkpoints = fs::read_dir(case.path("run/checkpoints")).unwrap().count();
    assert!(checkpoints >= 1);
    let text = fs::read_to_string(case.path("run/config.toml")).unwrap();
    let done = fs::read_to_string(&metrics).unwrap();
    let steps = done.lines().filter(|line| line.contains("\"event\":\"step\"")).count();
    fs::write(
        case.path("run/config.toml"),
        text.replace("steps = 1000000", &format!("steps = {}", steps + 1)),
    )
    .unwrap();
    let summary = case.json(&["train", "--resume", "run"]);
    assert_eq!(summary["steps"], steps + 1);
}
