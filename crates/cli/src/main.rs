//! The `aneal` command.
fn main() {}
