//! One file a command: its flags, and what it does with them.

pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod mil;
pub(crate) mod pack;
pub(crate) mod plan;
pub(crate) mod train;
