//! `aneal mil` on files as people have them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod case;

use std::fs;

use aneal_mil::blob::Writer;
use aneal_mil::{Literal, Type};
use case::Case;
use serde_json::{Value, json};

/// A product with weights in a file, spelled as the printer spells it.
const LAYER: &str = r#"program(1.3)
[buildInfo = dict<string, string>({{"coremlc-version", "3505.4.1"}})]
{
    func main<ios18>(tensor<fp16, [1, 1, 64, 32]> i00_x) {
        tensor<fp16, [64, 32]> w = const()[name = string("w"), val = tensor<fp16, [64, 32]>(BLOBFILE(path = string("@model_path/weights/weight.bin"), offset = uint64(64)))];
        fp16 half = const()[name = string("half"), val = fp16(0.5)];
        tensor<fp16, [1, 1, 64, 32]> h = mul(x = i00_x, y = half)[name = string("h")];
        tensor<fp16, [1, 1, 64, 64]> o00_y = linear(weight = w, x = h)[name = string("o00_y")];
    } -> (o00_y);
}
"#;

const WEIGHTS: &str = "@model_path/weights/weight.bin";

fn weight_file() -> Vec<u8> {
    let values: Vec<f32> = (0..64 * 32).map(|i| (i % 17) as f32 / 16.0).collect();
    let mut writer = Writer::new();
    let offset =
        writer.push(&Literal::from_floats(Type::fp16(&[64, 32]).unwrap(), &values).unwrap());
    assert_eq!(offset.unwrap(), 64);
    writer.finish()
}

/// A folder with `layer.mil` and its weights.
fn layer() -> Case {
    let case = Case::new();
    fs::write(case.path("layer.mil"), LAYER).unwrap();
    fs::create_dir(case.path("weights")).unwrap();
    fs::write(case.path("weights/weight.bin"), weight_file()).unwrap();
    case
}

impl Case {
    /// Standard output of a command that must succeed.
    #[track_caller]
    fn out(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "aneal {args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names in the case's folder, hidden ones too.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_sound_program_is_described() {
    let case = layer();
    let told = case.out(&["mil", "check", "layer.mil", "--rules", "C2,C25"]);
    for line in [
        "layer.mil: program(1.3)",
        "function main<ios18>",
        "  input  i00_x: fp16[1, 1, 64, 32]",
        "  output o00_y: fp16[1, 1, 64, 64]",
        "  4 operations: 2 const, 1 linear, 1 mul",
        "weights ./weights/weight.bin: 4,224 bytes, 1 constant",
        "0 findings under 2 constraints",
    ] {
        assert!(told.lines().any(|l| l == line), "{line} in:\n{told}");
    }
}

#[test]
fn json_says_the_same() {
    let case = layer();
    let report = case.json(&["mil", "check", "layer.mil", "--rules", "2,c25"]);
    assert_eq!(
        report,
        json!({
            "file": "layer.mil",
            "dialect": "1.3",
            "ok": true,
            "functions": [{
                "name": "main",
                "opset": "ios18",
                "inputs": [{ "name": "i00_x", "type": "fp16[1, 1, 64, 32]" }],
                "outputs": [{ "name": "o00_y", "type": "fp16[1, 1, 64, 64]" }],
                "operations": { "const": 2, "linear": 1, "mul": 1 },
            }],
            "weights": [{
                "path": WEIGHTS, "file": "./weights/weight.bin", "bytes": 4224, "constants": 1,
            }],
            "weight_faults": [],
            "rules": 2,
            "findings": [],
        })
    );
    let printed = case.json(&["mil", "print", "layer.mil"]);
    assert_eq!(printed, json!({ "file": "layer.mil", "dialect": "1.3", "text": LAYER }));
}

#[test]
fn a_syntax_error_shows_its_place() {
    let case = layer();
    fs::write(case.path("bad.mil"), LAYER.replace("linear(weight", "linear(wait")).unwrap();
    for command in [&["check", "bad.mil"][..], &["print", "bad.mil"]] {
        let output = case.run(&[&["mil"], command].concat());
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with("error: bad.mil: line 8, column 53: linear has no"), "{told}");
        let lines: Vec<&str> = told.lines().collect();
        let caret = lines[2].find('^').unwrap();
        assert!(lines[1][caret..].starts_with("wait = w"), "{told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn findings_decide_the_exit_code() {
    let case = layer();
    let long = LAYER.replace("64, 32", "16385, 32").replace("1, 64, 64]", "1, 16385, 16385]");
    let long = long.replace("1, 1, 16385, 32", "1, 1, 64, 32").replace("1, 16385, ", "1, 64, ");
    fs::write(case.path("long.mil"), long).unwrap();
    let check = ["mil", "check", "long.mil", "--rules", "C2", "--json"];
    let output = case.run(&check);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("long.mil is refused"));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let finding = &report["findings"][0];
    assert_eq!(finding["rule"], "C2");
    assert_eq!(finding["severity"], "refused");
    assert_eq!(finding["function"], "main");
    assert_eq!(finding["value"], "w");
    assert_eq!(finding["found"], "an axis of 16385, the limit is 16384");
    assert_eq!(finding["message"], "axes are limited");
    assert!(finding["scope"].as_str().unwrap().contains("M1 to M3"));
    assert!(finding["fix"].as_str().unwrap().contains("split"));
    // The declared shape outgrew the weight file, which is a fault whatever the rules.
    assert!(report["weight_faults"][0]["fault"].as_str().unwrap().contains("4096 bytes"));
    // Advice alone is no refusal.
    let tail = LAYER.replace("o00_y", "y0").replace(
        "[name = string(\"y0\")];\n",
        "[];\n        tensor<fp16, [1, 1, 64, 64]> o00_y = silu(x = y0);\n",
    );
    fs::write(case.path("tail.mil"), tail.replace("-> (y0)", "-> (o00_y)")).unwrap();
    let told = case.out(&["mil", "check", "tail.mil", "--rules", "C70"]);
    assert!(told.contains("C70 note: main/o00_y: "), "{told}");
    case.refused(&["mil", "check", "layer.mil", "--rules", "C2,C999"], 2, "C999 is no constraint");
}

#[test]
fn both_dialects_are_printed() {
    let case = layer();
    assert_eq!(case.out(&["mil", "print", "layer.mil"]), LAYER);
    let verbose = case.out(&["mil", "print", "layer.mil", "--dialect", "1.0"]);
    assert!(verbose.starts_with("program(1.0)\n"), "{verbose}");
    assert!(verbose.contains("val = tensor<fp16, []>(0.5)"), "{verbose}");
    fs::write(case.path("verbose.mil"), &verbose).unwrap();
    assert_eq!(case.out(&["mil", "print", "verbose.mil"]), verbose);
    assert_eq!(case.out(&["mil", "print", "verbose.mil", "--dialect", "1.3"]), LAYER);
    case.refused(&["mil", "print", "layer.mil", "--dialect", "1.2"], 2, "1.3, 1.0");
}

#[test]
fn text_to_package_to_text_is_the_same() {
    let case = layer();
    let done = case.json(&["mil", "convert", "layer.mil", "--out", "layer.mlpackage"]);
    assert_eq!(done["weight_bytes"], 4224);
    assert_eq!(done["operations"], 4);
    assert!(case.out(&["mil", "check", "layer.mlpackage", "--rules", "none"]).contains("package"));
    fs::create_dir(case.path("back")).unwrap();
    let model = "layer.mlpackage/Data/com.apple.CoreML/model.mlmodel";
    for (from, out) in [("layer.mlpackage", "back/layer.mil"), (model, "back/again.mil")] {
        case.out(&["mil", "convert", from, "--out", out]);
        assert_eq!(case.text(out), LAYER);
        assert!(fs::read(case.path("back/weights/weight.bin")).unwrap() == weight_file());
    }
    case.out(&["mil", "convert", "layer.mil", "--out", "old.mil", "--dialect", "1.0"]);
    case.out(&["mil", "convert", "old.mil", "--out", "new.mil", "--dialect", "1.3"]);
    assert_eq!(case.text("new.mil"), LAYER);
    assert_eq!(
        case.names(),
        ["back", "layer.mil", "layer.mlpackage", "new.mil", "old.mil", "weights"],
        "nothing half-written stays"
    );
}

#[test]
fn missing_weights_are_named() {
    let case = layer();
    fs::rename(case.path("weights"), case.path("elsewhere")).unwrap();
    let output = case.run(&["mil", "check", "layer.mil", "--rules", "none"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    let want =
        format!("faulty main/w: the weight file {WEIGHTS} is not found at ./weights/weight.bin");
    assert!(told.contains(&want) && told.contains("--weights DIR"), "{told}");
    let convert = ["mil", "convert", "layer.mil", "--out", "layer.mlpackage"];
    case.refused(&convert, 1, "layer.mil: main/w: the weight file");
    assert_eq!(case.names(), ["elsewhere", "layer.mil"]);
    // The folder of the files, or the one above it.
    case.out(&["mil", "check", "layer.mil", "--rules", "none", "--weights", "elsewhere"]);
    fs::create_dir(case.path("above")).unwrap();
    fs::rename(case.path("elsewhere"), case.path("above/weights")).unwrap();
    case.out(&[&convert[..], &["--weights", "above"]].concat());
    case.out(&["mil", "check", "layer.mlpackage", "--rules", "none"]);
}

#[test]
fn nothing_is_overwritten_unasked() {
    let case = layer();
    fs::write(case.path("mine"), "mine").unwrap();
    let convert = |out: &'static str| ["mil", "convert", "layer.mil", "--out", out];
    case.refused(&convert("mine"), 1, "--force");
    case.refused(&convert("layer.mil"), 1, "--force");
    assert_eq!(case.text("mine"), "mine");
    case.out(&[&convert("mine")[..], &["--force"]].concat());
    assert_eq!(case.text("mine"), LAYER);
    case.out(&convert("a.mlpackage"));
    case.refused(&convert("a.mlpackage"), 1, "a.mlpackage is there already");
    case.out(&[&convert("a.mlpackage")[..], &["--force"]].concat());
    // Weights of another program stay, and so does the text that would not go with them.
    fs::create_dir_all(case.path("other/weights")).unwrap();
    fs::write(case.path("other/weights/weight.bin"), "theirs").unwrap();
    case.refused(&convert("other/layer.mil"), 1, "holds other weights");
    assert_eq!(case.text("other/weights/weight.bin"), "theirs");
    assert!(!case.path("other/layer.mil").exists());
    // A folder that is no package is never replaced.
    fs::create_dir(case.path("b.mlpackage")).unwrap();
    case.refused(&[&convert("b.mlpackage")[..], &["--force"]].concat(), 1, "no package");
    case.refused(&convert("c.mlmodel"), 2, "name an .mlpackage");
    case.refused(&convert("absent/c.mil"), 1, "absent is no folder");
    case.refused(&[&convert("c.mlpackage")[..], &["--dialect", "1.0"]].concat(), 2, "--dialect");
}

#[test]
fn bad_files_are_refused() {
    let case = layer();
    let variants: [(&str, &str, &str); 5] = [
        (WEIGHTS, "@model_path/../weights/weight.bin", "without `..`"),
        (WEIGHTS, "/etc/passwd", "not below the program's folder"),
        ("uint64(64)", "uint64(128)", "name the descriptor"),
        ("uint64(64)", "uint64(18446744073709551615)", "past any file"),
        ("tensor<fp16, [64, 32]>(BLOB", "tensor<int8, [64, 32]>(BLOB", "statement declares"),
    ];
    for (from, to, expected) in variants {
        assert!(LAYER.contains(from), "{from}");
        fs::write(case.path("bad.mil"), LAYER.replace(from, to)).unwrap();
        let output = case.run(&["mil", "check", "bad.mil", "--rules", "none"]);
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(expected), "{to}: {told}");
    }
    fs::write(case.path("weights/weight.bin"), &weight_file()[..4000]).unwrap();
    let convert = ["mil", "convert", "layer.mil", "--out", "a.mlpackage"];
    case.refused(&convert, 1, "do not lie in a file of 4000 bytes");
    fs::write(case.path("noise"), [0xff; 100]).unwrap();
    fs::write(case.path("noise.mlmodel"), [0xff; 100]).unwrap();
    fs::create_dir(case.path("empty.mlpackage")).unwrap();
    for (file, expected) in [
        ("absent.mil", "cannot read absent.mil"),
        ("noise", "not UTF-8 at byte 0"),
        ("noise.mlmodel", "noise.mlmodel: not a Core ML program"),
        ("empty.mlpackage", "Manifest.json"),
        #[cfg(unix)]
        ("/dev/zero", "no regular file"),
    ] {
        case.refused(&["mil", "check", file], 1, expected);
    }
}

#[test]
fn a_program_runs_on_an_emulated_engine() {
    let case = layer();
    let report = case.json(&["mil", "run", "layer.mil", "--out", "out.safetensors"]);
    assert_eq!(report["function"], "main");
    assert!(report["engine"].as_str().unwrap().contains("emulated m4-pro (h16g), exact"));
    let output = &report["outputs"][0];
    assert_eq!((&output["name"], &output["lost_elements"]), (&json!("o00_y"), &json!(0)));
    let off = output["relative_rms"].as_f64().unwrap();
    assert!(off > 0.0 && off < 1e-3, "as far as fp16 goes: {off}");
    assert!(report["predicted_ms"].as_f64().unwrap() > 0.09);
    assert_eq!(report["flops"].as_f64(), Some(2.0 * 64.0 * 32.0 * 64.0));
    // Another arithmetic, other inputs: partial sums that reach the limit are lost.
    let large = case.json(&["mil", "run", "layer.mil", "--scale", "60000", "--arithmetic", "fast"]);
    assert!(large["outputs"][0]["lost_elements"].as_u64().unwrap() > 1_000);
    // Inputs of one's own, by name.
    let bytes = fs::read(case.path("out.safetensors")).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("\"o00_y\"") && text.contains("F16"), "{text}");
    let own = br#"{"i00_x":{"dtype":"F32","shape":[1,1,64,32],"data_offsets":[0,8192]}}"#;
    let mut file = (own.len() as u64).to_le_bytes().to_vec();
    file.extend(own);
    file.extend(std::iter::repeat_n(1.0_f32.to_le_bytes(), 2_048).flatten());
    fs::write(case.path("own.safetensors"), file).unwrap();
    let own = case.json(&["mil", "run", "layer.mil", "--inputs", "own.safetensors"]);
    assert!(own["outputs"][0]["largest"].as_f64().unwrap() > 1.0);
}

#[test]
fn what_cannot_be_run_is_refused() {
    let case = layer();
    let run = ["mil", "run", "layer.mil"];
    for (args, code, says) in [
        (&["--profile", "m9"][..], 2, "there is no device profile `m9`; expected one of m1"),
        (&["--function", "second"], 2, "expected one of main"),
        (&["--scale", "0"], 2, "expected a number above 0"),
        (&["--inputs", "layer.mil"], 1, "no safetensors file"),
        (&["--arithmetic", "slow"], 2, "invalid value"),
    ] {
        case.refused(&[&run[..], args].concat(), code, says);
    }
    let odd = case.text("layer.mil").replace("mul(x", "cumsum(x");
    fs::write(case.path("odd.mil"), odd.replace("y = half)", "axis = half)")).unwrap();
    case.refused(&["mil", "run", "odd.mil"], 1, "cumsum");
    fs::remove_file(case.path("weights/weight.bin")).unwrap();
    case.refused(&run, 1, "the weight file");
}
