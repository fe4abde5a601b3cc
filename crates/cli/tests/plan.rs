//! `aneal plan` as a user runs it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod case;

use std::fs;

use case::Case;
use serde_json::Value;

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("{key} in {object}"))
}

#[test]
fn a_step_is_predicted_and_consistent_with_itself() {
    let case = Case::new();
    let plan = case.json(&["plan"]);
    assert_eq!((&plan["plan"], &plan["config"]), (&"ten-kernel".into(), &"golfwide".into()));
    assert_eq!((&plan["profile"], &plan["priced_as"]), (&"m4-pro".into(), &"m4-pro".into()));
    assert_eq!(plan["dispatches_per_micro_batch"], 90);
    assert_eq!(plan["micro_batches_per_update"], 20);

    let ms = number(&plan, "predicted_ms_per_256_tokens");
    let without = number(&plan, "predicted_ms_per_256_tokens_without_update");
    // PR #801 published 38.6 and 32.8.
    assert!((ms / 38.6 - 1.0).abs() < 0.15 && (without / 32.8 - 1.0).abs() < 0.15, "{plan}");
    let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    let rate = number(&plan, "predicted_tokens_per_s");
    close(rate, 256e3 / ms);
    let watts = number(&plan, "predicted_watts");
    close(number(&plan, "predicted_tokens_per_joule"), rate / watts);
    close(watts, number(&plan, "predicted_ane_watts") + number(&plan, "predicted_cpu_watts"));

    let kernels = plan["kernels"].as_array().unwrap();
    let sum = |key: &str| -> f64 {
        kernels.iter().map(|k| number(k, "dispatches") * number(k, key)).sum()
    };
    assert_eq!(kernels.len(), 10);
    close(sum("predicted_ms"), number(&plan["predicted_busy_ms"], "ane"));
    close(sum("flops"), number(&plan, "ane_flops_per_micro_batch"));
    let terms = ["overhead", "product", "elementwise", "weights", "activations"];
    close(sum("predicted_ms"), terms.iter().map(|t| sum(&format!("predicted_{t}_ms"))).sum());
    let host = plan["host"].as_array().unwrap().iter();
    let on_cpu = host.filter(|work| work["thread"] == "cpu").map(|w| number(w, "predicted_ms"));
    close(on_cpu.sum(), number(&plan["predicted_busy_ms"], "cpu"));

    let ffn = kernels.iter().find(|kernel| kernel["name"] == "ffnFused").unwrap();
    let input = &ffn["inputs"][0];
    assert_eq!((&input["rows"], &input["columns"]), (&512.into(), &3584.into()));
    assert_eq!(input["bytes"], 2 * 512 * 3584);
    assert_eq!(input["blocks"][2]["content"], "feed_forward.w1.weight");
    assert_eq!(input["blocks"][2]["transposed"], true);
    assert_eq!(input["blocks"][2]["columns"], serde_json::json!([512, 1536]));
    assert_eq!(plan["clock_compared"][2]["what"], "step");
}

#[test]
fn people_get_a_table() {
    let case = Case::new();
    let output = case.run(&["plan", "--preset", "stories110m", "--profile", "m1"]);
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    for line in [
        "ten-kernel for stories110m under the rules of m1, priced as m1",
        "all times, watts and joules are predicted; nothing was run",
        "a micro-batch with its share of an update, predicted",
        "nothing published of m1 says enough to check the clock",
    ] {
        assert!(told.lines().any(|l| l == line), "{line} in:\n{told}");
    }
    assert!(
        told.contains("C38 wrong: ") && told.contains("dispatches                120"),
        "{told}"
    );
    let told = String::from_utf8(case.run(&["plan"]).stdout).unwrap();
    assert!(told.contains("step                      12.4 % off"), "{told}");
}

#[test]
fn programs_are_written_as_text_that_devices_take() {
    let case = Case::new();
    let dump = ["plan", "--dump-mil", "programs"];
    let plan = case.json(&[&dump[..], &["--profile", "m4-max", "--svg", "step.svg"]].concat());
    for kernel in plan["kernels"].as_array().unwrap() {
        let name = kernel["name"].as_str().unwrap();
        let file = format!("programs/{name}.mil");
        let rules = ["--rules", "C2,C5,C16,C24,S2.4,S4.5"];
        let report = case.json(&[&["mil", "check", &file][..], &rules].concat());
        assert_eq!(
            (&report["ok"], &report["weight_faults"]),
            (&true.into(), &Value::Array(vec![]))
        );
        let outputs = kernel["outputs"].as_array().unwrap().iter().map(|o| &o["name"]);
        let written = report["functions"][0]["outputs"].as_array().unwrap().iter();
        assert!(outputs.eq(written.map(|o| &o["name"])), "{name}");
    }
    assert!(case.path("programs/weights/sdpaFwd.bin").exists());
    assert!(!case.path("programs/weights/woFwd.bin").exists(), "it has no tables");
    let svg = fs::read_to_string(case.path("step.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("predicted"));
    case.refused(&dump, 1, "programs is not empty");
}

#[test]
fn devices_without_costs_are_priced_as_others_and_say_so() {
    let case = Case::new();
    case.refused(&["plan", "--profile", "strict"], 2, "name one with --costs: m1, m3-pro");
    let plan = case.json(&["plan", "--profile", "strict", "--costs", "m1"]);
    assert_eq!((&plan["profile"], &plan["priced_as"]), (&"strict".into(), &"m1".into()));
    assert_eq!(plan["dispatches_per_micro_batch"], 99);

    fs::write(case.path("mine.toml"), "base = \"m3-pro\"\nname = \"mine\"\n").unwrap();
    let output = case.run(&["plan", "--profile", "mine.toml"]);
    assert!(output.status.success());
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.contains("mine has no costs of its own: priced as m3-pro, also h15g"), "{note}");
}

#[test]
fn the_fastest_plan_is_found_and_explained() {
    let case = Case::new();
    let ten = case.json(&["plan", "--rates", "published"]);
    let best = case.json(&["plan", "--plan", "auto", "--explain", "--rates", "published"]);
    assert_eq!((&ten["rates"], &ten["candidates"]), (&"published".into(), &Value::Array(vec![])));
    let candidates = best["candidates"].as_array().unwrap();
    let times = candidates.iter().map(|c| number(c, "predicted_ms_per_256_tokens"));
    let ms = number(&best, "predicted_ms_per_256_tokens");
    assert_eq!(times.fold(f64::INFINITY, f64::min), ms);
    assert!(ms < number(&ten, "predicted_ms_per_256_tokens") / 2.0);
    assert!(number(&best, "dispatches_per_micro_batch") <= 46.0);
    assert_eq!(number(&best, "tokens_per_update"), 5120.0);

    let strict = ["plan", "--plan", "auto", "--explain", "--profile", "strict", "--costs", "m1"];
    let told = String::from_utf8(case.run(&strict).stdout).unwrap();
    assert!(told.starts_with("ten-kernel for golfwide under the rules of strict"), "{told}");
    assert!(told.contains("plan fused: heads are split by reshapes and transposes"), "{told}");

    let given = case.json(&["plan", "--plan", "auto", "--batch", "4"]);
    assert_eq!((&given["sequences"], &given["candidates"]), (&4.into(), &Value::Array(vec![])));
}

#[test]
fn a_configuration_file_decides_model_and_update() {
    let case = Case::new();
    let text = "preset = \"golfwide\"\n[model]\nlayers = 2\n[batch]\ntokens = 512\nseq_len = 128\n";
    fs::write(case.path("small.toml"), text).unwrap();
    let plan = case.json(&["plan", "--config", "small.toml"]);
    assert_eq!(plan["dispatches_per_micro_batch"], 20);
    assert_eq!(plan["micro_batches_per_update"], 4);
    assert_eq!(plan["tokens_per_micro_batch"], 128);
    let (micro, per_256) =
        (number(&plan, "predicted_micro_batch_ms"), number(&plan, "predicted_ms_per_256_tokens"));
    assert!((per_256 / (2.0 * micro) - 1.0).abs() < 1e-9);
}

#[test]
fn bad_usage_is_refused() {
    let case = Case::new();
    fs::write(case.path("bad.toml"), "base = \"m4\"\nname = \"x\"\nhearts = 1\n").unwrap();
    for (args, says) in [
        (&["--preset", "gpt5"][..], "there are quickstart"),
        (&["--profile", "m99"], "expected one of m1"),
        (&["--profile", "bad.toml"], "hearts"),
        (&["--plan", "eleven-kernel"], "there are ten-kernel"),
        (&["--batch", "2"], "one sequence a dispatch"),
        (&["--costs", "m99"], "expected m1"),
        (&["--preset", "golfwide", "--config", "x.toml"], "cannot be used with"),
    ] {
        case.refused(&[&["plan"], args].concat(), 2, says);
    }
    case.refused(&["plan", "--config", "absent.toml"], 1, "absent.toml");
}
