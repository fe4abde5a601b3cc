//! The loss and the gradient of every tensor of a plan's whole step must be those of the CPU backend.

use aneal_ane::Profile;
use aneal_model::ane::{Plan, Target};
use aneal_model::cpu::Cpu;
use aneal_model::philox::{Philox, Stream};
use aneal_model::{Backend, Batch, Grads, ModelConfig, Precision, init};
use aneal_testing::assert_close;
use proptest::prelude::*;

use super::programs::{HEADS, forms, model};
use super::walk::Walk;

/// The plan's whole step beside the CPU backend's, at random weights and tokens. Tables and scales of
/// programs are fp16, 2^-12 off at most; a gradient meets many of them, and gradients of keys and
/// queries are small differences of large terms.
fn check(plan: &Plan, what: &str, tolerance: f32) {
    let mut params = init(&plan.model, 3);
    // Large enough that softmax and gate are not straight lines, and gains not all 1.
    let random = Philox::new(9, Stream::Data);
    for (i, v) in params.values_mut().iter_mut().enumerate() {
        *v += 0.8 * random.uniform(i as u64) as f32 - 0.4;
    }
    let ids = 0..(plan.sequences * (plan.seq_len + 1)) as u64;
    let ids = ids.map(|i| random.below(i, plan.model.vocab_size as u64) as u32).collect();
    let batch = Batch::new(ids, plan.seq_len).unwrap();

    let mut cpu = Cpu::new(&plan.model, Precision::F32).unwrap();
    cpu.stage(&params).unwrap();
    let mut want = Grads::zeros(params.layout());
    let want_loss = cpu.forward_backward(&batch, 1.0, &mut want).unwrap();

    let mut walk = Walk::new(plan, &params, &batch);
    walk.step();
    let loss = walk.losses.iter().map(|&l| f64::from(l)).sum::<f64>() / plan.tokens() as f64;
    assert!((loss / want_loss - 1.0).abs() < 1e-3, "{what}: {loss} is not {want_loss}");
    for ((tensor, got), (_, want)) in walk.grads.tensors().zip(want.tensors()) {
        assert_close(&format!("{what}: {}", tensor.name), got, want, tolerance);
    }
}

#[test]
fn a_step_has_the_loss_and_gradients_of_the_cpu() {
    for (profile, seq_len) in forms() {
        for (heads, kv_heads, head_dim) in HEADS {
            let config = model(heads, kv_heads, head_dim);
            for (name, sequences) in [
                ("ten-kernel", 1),
                ("fused", 1),
                ("fused", 3),
                ("fused-worker", 2),
                ("fused-kept", 2),
                ("fused-kept-worker", 3),
            ] {
                if profile.name == "strict" && name != "ten-kernel" {
                    continue;
                }
                let target = Target { model: &config, profile: &profile, sequences, seq_len };
                let plan = Plan::named(name, &target).unwrap();
                let device = &profile.name;
                check(
                    &plan,
                    &format!("{name} {device} {sequences} {heads}/{kv_heads}x{head_dim}"),
                    5e-3,
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn at_any_size(
        kv_heads in 1_usize..4, shared in 1_usize..4, pairs in 1_usize..6, dim in 8_usize..20,
        hidden in 4_usize..30, seq_len in 5_usize..10, sequences in 1_usize..4,
        device in 0_usize..8, plan in 1_usize..5,
    ) {
        let sizes = model(kv_heads * shared, kv_heads, 2 * pairs);
        let config = ModelConfig { dim, hidden, ..sizes };
        let devices: Vec<_> = Profile::names().filter(|name| *name != "strict").collect();
        let profile = Profile::named(devices[device]).unwrap();
        let target = Target { model: &config, profile: &profile, sequences, seq_len };
        let name = Plan::NAMES[plan];
        let plan = Plan::named(name, &target).unwrap();
        check(&plan, &format!("{name} on {}", profile.name), 2e-2);
    }
}
