//! What the tests of several crates share: golden fixtures, third-party data, one comparison.
//!
//! A development dependency only; it panics freely.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod golden;

use std::path::{Path, PathBuf};

pub use golden::Golden;

/// The folder of committed fixtures.
pub fn fixtures() -> PathBuf {
    workspace().join("fixtures")
}

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A third-party data file that is not part of the project, if this machine has it.
///
/// Looked for below `$ANEAL_SHARED`, else below `shared` beside the workspace. When it is absent the
/// test says so and passes.
pub fn third_party(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ANEAL_SHARED")
        .map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let path = root.join("data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {name} is absent (set ANEAL_SHARED to the folder that holds data/{name})");
    None
}

/// Fails unless every value is within `tolerance` of its twin, relative to the largest value.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let scale = want.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
    assert!(scale > 0.0, "{what}: nothing to compare with");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (g - w).abs() / scale;
        assert!(error <= tolerance, "{what}[{i}]: got {g}, want {w}, relative error {error:e}");
    }
}
