//! Training and scoring on an emulated Neural Engine, as a user does.

#![allow(clippy::unwrap_used, clippy::panic)]

mod case;

use std::fs;

use case::{Case, TINY, number};

#[test]
fn an_emulated_run_goes_on_as_it_began() {
    let case = Case::new();
    let device = ["--backend", "emulator", "--profile", "m1", "--arithmetic", "exact"];
    let summary = case.train(&device);
    let saved = fs::read_to_string(case.path("run/config.toml")).unwrap();
    for line in [
        "kind = \"emulator\"",
        "profile = \"m1\"",
        "plan = \"ten-kernel\"",
        "arithmetic = \"exact\"",
        "loss_scale = 65536.0",
        "loss_scale_growth = 1000",
    ] {
        assert!(saved.lines().any(|l| l == line), "{line} in {saved}");
    }
    let log = fs::read_to_string(case.path("run/train.log")).unwrap();
    assert!(log.contains("backend:emulated m1 (h13g), exact arithmetic, plan ten-kernel"), "{log}");
    // Half of it, then the rest, which the folder alone must suffice for.
    let first = [&["train", "--out", "half"], &TINY[..], &device].concat();
    let half = first.iter().map(|arg| if *arg == "6" { "4" } else { arg }).collect::<Vec<_>>();
    case.json(&half);
    let config = case.path("half/config.toml");
    let text = fs::read_to_string(&config).unwrap().replace("steps = 4", "steps = 6");
    fs::write(&config, text).unwrap();
    case.json(&["train", "--resume", "half"]);
    let log = fs::read_to_string(case.path("half/train.log")).unwrap();
    assert!(log.contains("resumed: step:4"), "{log}");
    assert!(fs::read_to_string(&config).unwrap().contains("kind = \"emulator\""));

    let scored = |backend: &[&str]| {
        let args = ["eval", "--checkpoint", "run", "--stride", "32", "--max-tokens", "4096"];
        number(&case.json(&[&args[..], backend].concat()), "val_loss")
    };
    let (cpu, engine) = (scored(&[]), scored(&["--backend", "emulator", "--profile", "m4-pro"]));
    assert!((engine / cpu - 1.0).abs() < 1e-3 && engine != cpu, "{engine} and {cpu}");
    // What a device is known to get wrong is said, as the emulator gets it wrong too.
    let score = |device| {
        let args = ["eval", "--checkpoint", "run", "--max-tokens", "32", "--backend", "emulator"];
        let output = case.run(&[&args[..], &["--profile", device]].concat());
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(score("m1").contains("m1 computes these wrongly: sdpaFwd"));
    assert!(!score("m4-pro").contains("wrongly"));
    assert!(number(&summary, "val_loss") > 0.0);
}

#[test]
fn a_device_that_cannot_be_leaves_no_run_behind() {
    let case = Case::new();
    let train = |more: &[&'static str]| [&["train", "--out", "run"], &TINY[..], more].concat();
    let emulator = ["--backend", "emulator"];
    case.refused(&train(&["--profile", "m4"]), 2, "need --backend emulator");
    case.refused(&train(&["--backend", "cpu", "--plan", "ten-kernel"]), 2, "need --backend");
    case.refused(&train(&[&emulator[..], &["--profile", "m7"]].concat()), 2, "m4-pro");
    case.refused(&train(&[&emulator[..], &["--plan", "two-kernel"]].concat()), 2, "ten-kernel");
    assert!(!case.path("run").exists());
    case.refused(&["eval", "--checkpoint", "run", "--arithmetic", "fast"], 1, "run");
}
