//! Each program against the formulas of what it returns, at small odd shapes, in every form.

use aneal_ane::Profile;
use aneal_mil::{Dialect, text};
use aneal_model::ane::{Activation, Content, Plan, Target};
use aneal_model::philox::{Philox, Stream};
use aneal_model::{ModelConfig, init};
use aneal_testing::assert_close;
use proptest::prelude::*;

use super::formulas::Given;
use super::surfaces::{Activations, run};

/// A model of odd sizes, by heads, key-value heads and width of a head.
pub(crate) fn model(heads: usize, kv_heads: usize, head_dim: usize) -> ModelConfig {
    ModelConfig {
        vocab_size: 23,
        dim: 10,
        layers: 2,
        heads,
        kv_heads,
        head_dim,
        hidden: 42,
        seq_len: 16,
        rope_theta: 50.0,
        ..ModelConfig::preset("golfwide").unwrap()
    }
}

/// Heads of their own, shared in two ways, one for all; widths that are not the model's.
pub(crate) const HEADS: [(usize, usize, usize); 5] =
    [(3, 3, 2), (4, 2, 6), (6, 2, 4), (3, 1, 4), (1, 1, 10)];

/// Devices whose plans differ in form, and a length that each takes.
pub(crate) fn forms() -> Vec<(Profile, usize)> {
    let named = |name, seq_len| (Profile::named(name).unwrap(), seq_len);
    let mut forms =
        vec![named("m4-pro", 7), named("m4-max", 5), named("m1", 7), named("strict", 8)];
    // No power of two: softmax is written out.
    forms.push(named("m3-pro", 7));
    // Narrower than the feed-forward layer's input: that is cut.
    let (mut narrow, seq_len) = named("m4", 7);
    narrow.limits.axis = 2 * 7 + 3 * 42 - 1;
    narrow.name = "narrow".to_owned();
    forms.push((narrow, seq_len));
    forms
}

/// Values in -1..1 for everything that programs of a plan take as activations.
fn random(plan: &Plan) -> Activations {
    let mut known = Activations::new();
    let inputs = plan.kernels.iter().flat_map(|kernel| &kernel.inputs);
    for (place, (activation, elements)) in inputs.flat_map(|s| s.activations()).enumerate() {
        let random = Philox::new(place as u64, Stream::Data);
        let values = (0..elements as u64).map(|i| 2.0 * random.uniform(i) as f32 - 1.0).collect();
        known.insert(activation, values);
    }
    known
}

/// Each program of a plan against the formulas of what it returns.
fn check(profile: &Profile, model: &ModelConfig, seq_len: usize) {
    let target = Target { model, profile, sequences: 1, seq_len };
    let plan = Plan::named("ten-kernel", &target).unwrap();
    let (all, params) = (random(&plan), init(model, 7));
    for kernel in &plan.kernels {
        // What another program makes is not known here: it follows from what is.
        let inputs = kernel.inputs.iter().flat_map(|s| s.activations());
        let known: Activations = inputs.map(|(a, _)| (a, all[&a].clone())).collect();
        let given = Given { config: model, tokens: seq_len, known: &known, params: &params };
        for (content, got) in run(kernel, &known, &params, 0) {
            let Content::Activation(activation) = content else { panic!("{content:?}") };
            assert_eq!(got.len(), activation.rows(model, seq_len) * seq_len);
            let want: Vec<f32> = given.get(activation).into_iter().map(|v| v as f32).collect();
            let what = format!("{} on {}: {activation:?} of {model:?}", kernel.name, profile.name);
            assert_close(&what, &got, &want, 1e-5);
        }
    }
}

#[test]
fn every_program_computes_its_formula() {
    for (profile, seq_len) in forms() {
        for (heads, kv_heads, head_dim) in HEADS {
            check(&profile, &model(heads, kv_heads, head_dim), seq_len);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn at_any_size(
        kv_heads in 1_usize..4, shared in 1_usize..4, pairs in 1_usize..6, dim in 1_usize..20,
        hidden in 1_usize..30, seq_len in 1_usize..17, device in 0_usize..8,
    ) {
        let sizes = model(kv_heads * shared, kv_heads, 2 * pairs);
        let name = Profile::names().nth(device).unwrap();
        check(&Profile::named(name).unwrap(), &ModelConfig { dim, hidden, ..sizes }, seq_len);
    }
}

#[test]
fn every_form_is_what_its_device_needs() {
    let model = model(4, 2, 6);
    for (profile, seq_len) in forms() {
        let target = Target { model: &model, profile: &profile, sequences: 1, seq_len };
        let plan = Plan::named("ten-kernel", &target).unwrap();
        let names: Vec<_> = plan.kernels.iter().map(|kernel| kernel.name).collect();
        let operations = plan.kernels.iter().flat_map(|kernel| &kernel.function.operations);
        let has = |name: &str| operations.clone().any(|op| op.def.name == name);
        assert_eq!(has("concat"), !["m4-max", "strict"].contains(&&*profile.name));
        assert_eq!(has("softmax"), profile.name != "m3-pro");
        assert_eq!(has("reshape"), profile.name != "strict");
        assert_eq!(names.contains(&"qkvFwd"), profile.name == "strict");
        assert_eq!(names.contains(&"ffnW2Fwd"), profile.name == "narrow");
        assert_eq!(names.contains(&"ffnFused"), profile.name != "narrow");
    }
}

#[test]
fn published_surfaces_have_the_published_widths() {
    let model = ModelConfig::preset("golfwide").unwrap();
    let profile = Profile::named("m4-pro").unwrap();
    let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 256 };
    let plan = Plan::named("ten-kernel", &target).unwrap();
    let (d, h, q, kv, s) = (512, 1024, 512, 256, 256);
    let scores = 8 * s;
    let want = [
        ("sdpaFwd", (d, s + q + 2 * kv), (2 * q + 2 * kv + d, s)),
        ("woFwd", (q, s + d), (d, s)),
        ("ffnFused", (d, 2 * s + 3 * h), (d + 3 * h, s)),
        ("ffnBwdW2t", (d, s + h), (h, s)),
        ("ffnBwdW13t", (h, 2 * s + 2 * d), (d, s)),
        ("wotBwd", (d, s + q), (q, s)),
        ("sdpaBwd1", (4 * q, s), (q + 2 * scores, s)),
        ("sdpaBwd2", (2 * scores + 2 * q, s), (2 * q, s)),
        ("qBwd", (q, s + d), (d, s)),
        ("kvBwd", (kv, 2 * s + 2 * d), (d, s)),
    ];
    assert_eq!(plan.kernels.len(), want.len());
    for (place, (kernel, (name, input, output))) in plan.kernels.iter().zip(want).enumerate() {
        assert_eq!((kernel.name, plan.dispatches_of(place)), (name, 9));
        for (surfaces, (rows, columns)) in [(&kernel.inputs, input), (&kernel.outputs, output)] {
            let [surface] = &surfaces[..] else { panic!("{name} has several surfaces") };
            assert_eq!((surface.rows, surface.columns), (rows, columns), "{name}");
            assert_eq!(surface.bytes(), 2 * rows * columns, "{name}");
        }
    }
    // Activations and weights in the published order.
    let blocks = |name: &str| -> Vec<String> {
        let kernel = plan.kernels.iter().find(|kernel| kernel.name == name).unwrap();
        let of = |block: &aneal_model::ane::Block| match block.content {
            Content::Activation(activation) => format!("{activation:?}"),
            Content::Gradient(weight) => panic!("{weight:?} is the CPU's"),
            Content::Weight(weight) => {
                format!("{}{}", weight.tensor(3), if weight.transposed { "^T" } else { "" })
            }
        };
        kernel.inputs[0].blocks.iter().map(of).collect()
    };
    assert_eq!(
        blocks("ffnFused"),
        [
            "FfnNorm",
            "MiddleStream",
            "layers.3.feed_forward.w1.weight^T",
            "layers.3.feed_forward.w3.weight^T",
            "layers.3.feed_forward.w2.weight"
        ]
    );
    assert_eq!(blocks("sdpaBwd2")[..2], ["Probabilities", "ProbabilityGrads"]);
    assert!(Activation::Probabilities.passes_through());
}

#[test]
fn every_program_survives_text() {
    for (profile, seq_len) in forms() {
        let model = model(4, 2, 6);
        let target = Target { model: &model, profile: &profile, sequences: 1, seq_len };
        let plans = Plan::NAMES.iter().filter_map(|name| Plan::named(name, &target).ok());
        for kernel in plans.flat_map(|plan| plan.kernels) {
            let (program, weights) = kernel.program().unwrap();
            for dialect in [Dialect::Modern, Dialect::Verbose] {
                let written = text::print(&program, dialect);
                let mut read = text::parse(&written).unwrap();
                assert_eq!(read, program, "{} {}", profile.name, kernel.name);
                // With its weight file it is the function again.
                weights.load_into(&mut read).unwrap();
                assert_eq!(read.functions, std::slice::from_ref(&kernel.function));
            }
        }
    }
}
