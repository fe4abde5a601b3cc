//! How long a whole model of 28 layers, forward and backward, takes to be printed and parsed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/catalogue/mod.rs"]
mod catalogue;

use std::time::{Duration, Instant};

use aneal_mil::{Dialect, Program, text};
use catalogue::unrolled;

/// Odd, so that there is a middle one.
const RUNS: usize = 9;

fn main() {
    let program = Program::new(vec![unrolled::function(unrolled::LARGE).unwrap()]);
    for dialect in [Dialect::Modern, Dialect::Verbose] {
        let printed = text::print(&program, dialect);
        let (lines, bytes) = (printed.lines().count(), printed.len());
        let mut runs = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..RUNS {
            let start = Instant::now();
            let again = text::print(&program, dialect);
            let print = start.elapsed();
            let read = text::parse(&again).unwrap();
            let both = start.elapsed();
            assert!(read == program, "the text is of another program");
            for (times, time) in runs.iter_mut().zip([print, both - print, both]) {
                times.push(time);
            }
        }
        let [print, parse, both] = runs.map(median);
        println!(
            "{dialect:?}: {lines} lines, {:.1} MB; print {print:.1} ms, parse {parse:.1} ms, \
             together {both:.1} ms, medians of {RUNS} runs",
            bytes as f64 / 1e6
        );
    }
}

/// The middle one, in milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
