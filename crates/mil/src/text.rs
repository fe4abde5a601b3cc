//! MIL as text: what the private framework takes, in the two dialects that published programs use.

mod cursor;
mod number;
mod parser;
mod printer;
mod value;

pub use parser::parse;
pub use printer::print;

/// How scalars are spelled, and what the program calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `program(1.3)`, scalars as `fp16(0.5)`: macOS 15 and later on M3 and later, and most M1.
    #[default]
    Modern,
    /// `program(1.0)`, scalars as `tensor<fp16, []>(0.5)`: what some M1 and M2 insist on (C4).
    Verbose,
}

impl Dialect {
    /// The version in the program's first line.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Modern => "1.3",
            Self::Verbose => "1.0",
        }
    }

    /// The dialect that a text's first line names, if it is one of the two.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let rest = text.trim_start().strip_prefix("program")?.trim_start().strip_prefix('(')?;
        let version = rest.split(')').next()?.trim();
        [Self::Modern, Self::Verbose].into_iter().find(|dialect| dialect.version() == version)
    }
}
