//! Prints `docs/constraints.md`.
//!
//! `cargo run -p aneal-ane --example constraints > docs/constraints.md`

#![allow(clippy::print_stdout)]

fn main() -> aneal_ane::Result<()> {
    print!("{}", aneal_ane::constraint::document()?);
    Ok(())
}
