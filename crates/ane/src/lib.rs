//! Apple's Neural Engine, as far as it can be had without one.

#![forbid(unsafe_code)]

pub mod clock;
