//! Elements a second of the emulator's operations other than products, on this machine.
//!
//! `cargo run --release -p aneal-ane --example vector_speed [PROFILE]`; `RAYON_NUM_THREADS=1` for one
//! thread, `ANEAL_SIMD` for less than the best instruction set.

#![allow(clippy::print_stdout)]

use std::time::Duration;

use aneal_ane::Profile;
use aneal_ane::emulator::vector::speeds;

fn main() -> aneal_ane::Result<()> {
    let profile = std::env::args().nth(1);
    let profile = Profile::named(profile.as_deref().unwrap_or("m4"))?;
    for speed in speeds(&profile.arithmetic, Duration::from_millis(300)) {
        println!("{:8.3} G/s  {}", speed.giga_elements_per_s, speed.operation);
    }
    Ok(())
}
