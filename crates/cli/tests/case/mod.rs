//! Running the command in a folder of its own, for every test file.

#![allow(dead_code)] // each test file uses a part

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

/// A folder of its own and the binary to run in it.
pub(crate) struct Case {
    pub(crate) dir: tempfile::TempDir,
}

impl Case {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        // A level that the tests are forced down to holds for the binary too.
        self.run_with(std::env::var("ANEAL_SIMD").ok().as_deref(), args)
    }

    /// Runs with `ANEAL_SIMD` set to `level`, or unset.
    pub(crate) fn run_with(&self, level: Option<&str>, args: &[&str]) -> Output {
        Command::cargo_bin("aneal")
            .unwrap()
            .current_dir(self.dir.path())
            .env_clear()
            .envs(level.map(|level| ("ANEAL_SIMD", level)))
            .args(args)
            .timeout(Duration::from_secs(120))
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed and parses its JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "aneal {args:?}: {errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "one object on stdout: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Runs a command that must fail with `code` and say `expected`.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], code: i32, expected: &str) {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "aneal {args:?}: {text}");
        assert!(text.contains(expected), "aneal {args:?} says: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }

    /// Trains a tiny model into `run/`.
    #[track_caller]
    pub(crate) fn train(&self, more: &[&str]) -> Value {
        self.json(&[&["train", "--out", "run"], &TINY[..], more].concat())
    }
}

/// Sizes of a model that trains in a second.
pub(crate) const TINY: [&str; 22] = [
    "--steps",
    "6",
    "--set",
    "model.dim=32",
    "--set",
    "model.layers=1",
    "--set",
    "model.heads=2",
    "--set",
    "model.kv_heads=1",
    "--set",
    "model.head_dim=16",
    "--set",
    "model.hidden=48",
    "--set",
    "model.seq_len=32",
    "--set",
    "batch.tokens=128",
    "--set",
    "eval.max_tokens=4096",
    "--set",
    "checkpoint.every=2",
];

/// A number of an object.
pub(crate) fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("{key} in {object}"))
}
