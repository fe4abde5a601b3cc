//! What the tests of this crate share: inputs, thread pools, and one comparison.

/// `n` values in [-1, 1), a pure function of `seed` (SplitMix64).
pub(crate) fn uniform(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..n)
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// [`uniform`] values as elements.
pub(crate) fn rounded<E: crate::Element>(seed: u64, n: usize) -> Vec<E> {
    uniform(seed, n).into_iter().map(E::from_f32).collect()
}

/// Fails unless every value is within `tolerance` of its twin, relative to the larger of 1 and it.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let close = (g - w).abs() <= tolerance * w.abs().max(1.0);
        assert!(close, "{what}[{i}]: got {g}, want {w}, tolerance {tolerance}");
    }
}

/// Runs `f` in a pool of `threads` threads.
pub(crate) fn in_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}
