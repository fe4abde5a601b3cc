//! The engine, emulated: the same programs, the same arithmetic, the same refusals.

mod layout;
pub mod product;

pub use product::Mode;
