//! The engine: what is documented of each device, and how it computes.
//!
//! A [`Profile`] says, for one chip, which of the engine's known constraints are in force, its
//! limits, and its [`Arithmetic`]: how numbers are decoded, multiplied, summed and stored. Profiles
//! are data, with a source beside every value; where sources contradict each other, profiles differ.
//!
//! The [`emulator`] is an [`Engine`] as a profile describes it; [`constraint`] lists everything that is
//! known to be refused, computed wrongly or slow, with what it does about each.
//!
//! The [`clock`] prices a program on a device: time and energy, predicted.
//!
//! Nothing here has been compared with hardware by this project: it restates published measurements.
//!
//! ```
//! use aneal_ane::Profile;
//! use half::f16;
//!
//! // 2048 + 1 lies halfway between two fp16 values: M1 rounds to even, M4 away from zero.
//! let (x, ones) = ([f16::from_f32(2048.0), f16::ONE], [f16::ONE; 2]);
//! assert_eq!(Profile::named("m1")?.arithmetic.dot(&x, &ones).to_f32(), 2048.0);
//! assert_eq!(Profile::named("m4")?.arithmetic.dot(&x, &ones).to_f32(), 2050.0);
//! # Ok::<(), aneal_ane::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod arithmetic;
pub mod clock;
pub mod constraint;
pub mod emulator;
pub mod engine;
mod error;
pub mod profile;
pub mod trial;

pub use arithmetic::Arithmetic;
pub use engine::{Engine, Kernel, Surface};
pub use error::Error;
pub use profile::Profile;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
