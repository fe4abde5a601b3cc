//! The CPU backend: micro-batches, threads, long contexts and bad input.

#![allow(clippy::unwrap_used, clippy::panic)]

use aneal_model::cpu::{Cpu, Decoder};
use aneal_model::philox::{Philox, Stream};
use aneal_model::{Backend, Batch, Error, Grads, ModelConfig, Precision, init};

fn small() -> ModelConfig {
    ModelConfig {
        vocab_size: 90,
        dim: 48,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 12,
        hidden: 80,
        seq_len: 16,
        ..ModelConfig::preset("quickstart").unwrap()
    }
}

fn batch(config: &ModelConfig, sequences: usize, seq_len: usize) -> Batch {
    let random = Philox::new(3, Stream::Data);
    let ids = 0..(sequences * (seq_len + 1)) as u64;
    let ids = ids.map(|i| random.below(i, config.vocab_size as u64) as u32).collect();
    Batch::new(ids, seq_len).unwrap()
}

const BOTH: [Precision; 2] = [Precision::F32, Precision::Bf16];

fn step(config: &ModelConfig, precision: Precision, batch: &Batch) -> (f64, Vec<f32>) {
    let params = init(config, 5);
    let mut cpu = Cpu::new(config, precision).unwrap();
    cpu.stage(&params).unwrap();
    let mut grads = Grads::zeros(params.layout());
    let loss = cpu.forward_backward(batch, 1.0, &mut grads).unwrap();
    (loss, grads.values().to_vec())
}

#[test]
fn the_thread_count_does_not_change_a_bit() {
    let config = small();
    let batch = batch(&config, 150, 16);
    for precision in BOTH {
        let in_threads = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| step(&config, precision, &batch))
        };
        let once = in_threads(1);
        assert_eq!(once, in_threads(3));
        assert_eq!(once, in_threads(8));
    }
}

#[test]
fn a_batch_of_many_micro_batches_is_the_mean_of_its_sequences() {
    let config = small();
    // 2560 tokens are one micro-batch of 160 sequences; 300 sequences take two.
    let whole = batch(&config, 300, 16);
    let (loss, grads) = step(&config, Precision::F32, &whole);
    let (mut sum_loss, mut sum_grads) = (0.0, vec![0.0_f64; grads.len()]);
    for row in whole.rows() {
        let (loss, grads) = step(&config, Precision::F32, &Batch::new(row.to_vec(), 16).unwrap());
        sum_loss += loss / 300.0;
        sum_grads.iter_mut().zip(grads).for_each(|(sum, g)| *sum += f64::from(g) / 300.0);
    }
    assert!((loss - sum_loss).abs() < 1e-5, "{loss} is not {sum_loss}");
    let sum_grads: Vec<f32> = sum_grads.into_iter().map(|g| g as f32).collect();
    aneal_testing::assert_close("gradient", &grads, &sum_grads, 1e-4);
}

#[test]
fn bf16_is_f32_rounded() {
    let config = small();
    let batch = batch(&config, 20, 16);
    let [(loss, grads), (rounded_loss, rounded)] =
        BOTH.map(|precision| step(&config, precision, &batch));
    assert!((loss - rounded_loss).abs() < 1e-3 * loss, "{loss} and {rounded_loss}");
    let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let difference: Vec<f32> = grads.iter().zip(&rounded).map(|(a, b)| a - b).collect();
    let relative = norm(&difference) / norm(&grads);
    assert!(relative > 0.0 && relative < 0.01, "gradients differ by {relative}");
}

#[test]
fn scoring_and_training_take_turns_on_the_same_buffers() {
    let config = small();
    let (large, little) = (batch(&config, 9, 16), batch(&config, 4, 7));
    for precision in BOTH {
        let mut cpu = Cpu::new(&config, precision).unwrap();
        let params = init(&config, 5);
        cpu.stage(&params).unwrap();
        let mut losses = [(); 2].map(|()| vec![0.0; little.targets()]);
        cpu.token_losses(&little, 7, &mut losses[0]).unwrap();
        let mut grads = Grads::zeros(params.layout());
        let loss = cpu.forward_backward(&large, 1.0, &mut grads).unwrap();
        cpu.token_losses(&little, 7, &mut losses[1]).unwrap();
        assert_eq!(losses[0], losses[1]);
        assert_eq!((loss, grads.values().to_vec()), step(&config, precision, &large));
    }
}

#[test]
fn only_scored_targets_are_given() {
    let config = small();
    let batch = batch(&config, 200, 16);
    for precision in BOTH {
        let mut cpu = Cpu::new(&config, precision).unwrap();
        cpu.stage(&init(&config, 5)).unwrap();
        let mut all = vec![0.0; batch.targets()];
        cpu.token_losses(&batch, 16, &mut all).unwrap();
        for scored in [0, 1, 5] {
            let mut last = vec![0.0; 200 * scored];
            cpu.token_losses(&batch, scored, &mut last).unwrap();
            let want: Vec<f32> =
                all.chunks(16).flat_map(|losses| &losses[16 - scored..]).copied().collect();
            assert_eq!(last, want, "the last {scored} at {precision:?}");
        }
    }
}

#[test]
fn a_decoder_goes_on_beyond_the_sequence_length() {
    let config = small();
    let params = init(&config, 5);
    let ids = batch(&config, 1, 59).tokens().to_vec();
    let mut long = Decoder::new(&config, &params).unwrap();
    for &id in &ids[..16] {
        long.push(id).unwrap();
    }
    // The context is full: the next token keeps the newer half.
    let got = long.push(ids[16]).unwrap().to_vec();
    let mut fresh = Decoder::new(&config, &params).unwrap();
    for &id in &ids[8..16] {
        fresh.push(id).unwrap();
    }
    assert_eq!(got, fresh.push(ids[16]).unwrap());
    for &id in &ids[17..] {
        assert!(long.push(id).unwrap().iter().all(|x| x.is_finite()));
    }
}

#[test]
fn bad_batches_are_refused() {
    let config = small();
    let mut cpu = Cpu::new(&config, Precision::F32).unwrap();
    let mut losses = vec![0.0; 16];
    let mut refused = |batch: Batch| cpu.token_losses(&batch, 16, &mut losses).unwrap_err();
    let mut ids = vec![1; 17];
    ids[4] = 90;
    let error = refused(Batch::new(ids, 16).unwrap());
    assert!(matches!(error, Error::TokenId { id: 90, position: 4, vocab_size: 90 }), "{error}");
    let error = refused(Batch::new(vec![1; 18], 17).unwrap());
    assert!(matches!(error, Error::SequenceTooLong { found: 17, limit: 16 }), "{error}");
    assert!(matches!(Batch::new(vec![1; 18], 16), Err(Error::BatchShape { .. })));
    assert!(matches!(Batch::new(vec![], 16), Err(Error::BatchShape { .. })));

    let other = init(&ModelConfig { layers: 3, ..config }, 1);
    assert!(matches!(cpu.stage(&other), Err(Error::Weights(_))));
}
