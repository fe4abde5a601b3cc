//! The emulated engine from outside: pieces of a transformer in every profile, numbers that were
//! probed on devices, and the manners of requests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

#[path = "../../../mil/tests/catalogue/mod.rs"]
mod catalogue;
mod pieces;
mod probes;
mod requests;
mod session;
mod transformer;
