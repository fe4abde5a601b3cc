//! The engine's arithmetic, as pure functions of fp16 values.
//!
//! A product of matrices runs through five steps, one file each: an operand is decoded (`operand`),
//! two make a product (`product`), products are added to a partial sum (`sum`), an [`Accumulator`]
//! watches the sum's size, and what it holds is rounded to fp16 (`rounding`). Beside them are the
//! element-wise unit (`elementwise`), folds (`reduce`), functions of one number (`function`, from
//! tables of `table`) and 8-bit products ([`dot_int8`]).
//!
//! An [`Arithmetic`] says which way each step goes. Sections and numbers (`6.1`, `B.2`, `C64`) are
//! those of the fact sheets that the profiles cite. The order of a sum is taken to be the order of
//! its terms: no source says otherwise, and only partial sums near the limit, and sums in f32 or in
//! groups, depend on it.
//!
//! This is what a device does. What a program means is `aneal_mil::eval`, which has a trait of the
//! same name: an emulator implements that trait with this struct.

mod accumulator;
mod elementwise;
mod function;
mod integer;
mod operand;
mod product;
mod reduce;
#[cfg(test)]
mod reference;
mod rounding;
mod sum;
mod table;
#[cfg(test)]
mod tests;

use half::f16;
use serde::Deserialize;

pub use accumulator::Accumulator;
pub use integer::dot_int8;
pub use rounding::{Tie, to_half};

/// Least normal fp16 value, 2^-14: what "flushed below 6.1e-5" means (section 6.1).
pub const LEAST_NORMAL: f32 = 6.103_515_6e-5;

/// Which way a device goes at each step. All of it is data of a [`crate::Profile`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arithmetic {
    /// What the largest exponent of an operand means (B.2(2), C66).
    pub nan: Nan,
    /// Subnormal operands of products (6.1).
    pub subnormal_operands: Subnormals,
    /// Whether a product is rounded before it is added (6.1).
    pub product: Product,
    /// Products below [`LEAST_NORMAL`] (6.1).
    pub subnormal_products: Subnormals,
    /// Products whose operands' exponents sum to less are dropped, whatever their value (B.2(3),
    /// C65).
    pub least_product_exponent: Option<i32>,
    /// Whether products are summed by fours in fp16 before they are added (6.1).
    pub groups: Groups,
    /// What partial sums are held in (6.1, B.2(1), C64).
    pub accumulator: Wide,
    /// What a bias is held in before it starts a sum (B.2(5), C68).
    pub bias: Wide,
    /// Size from which on a partial sum has overflowed (6.1, B.2(4)).
    pub partial_limit: f32,
    /// What an overflowed sum becomes (6.1, B.2(4)).
    pub overflow: Overflow,
    /// Where values halfway between two fp16 values go (6.1, B.2(6), C67).
    pub tie: Tie,
    /// What a fold sums in (6.1, C60).
    pub reduce_sum: Fold,
    /// Subnormal operands and results of the element-wise unit (B.2(9), C59).
    pub subnormal_elements: Subnormals,
    /// Where functions of one number come from (6.2, B.2(10), C70).
    pub functions: Functions,
}

/// What fp16 bits with all exponent bits set mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nan {
    /// Infinities and NaN, as IEEE 754 says.
    Ieee,
    /// Numbers like any other: 0x7C00 is 65,536, 0x7FFF is 131,008.
    Number,
}

/// What becomes of values below [`LEAST_NORMAL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subnormals {
    /// They count.
    Keep,
    /// They are 0.
    Flush,
}

/// What a product is rounded to before it is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// Nothing: all 22 bits reach the accumulator.
    Exact,
    /// fp16.
    Half,
}

/// How many products meet before they reach the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Groups {
    /// Each comes alone.
    One,
    /// Four, added in fp16 one after another, each sum rounded.
    Four,
}

/// What holds a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wide {
    /// An f32, to nearest, ties to even.
    F32,
    /// 32 bits with 16 behind the point; what is added is rounded to 2^-16, ties away from zero.
    Fixed,
}

/// What a sum that has overflowed stays at, whatever is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// Infinity, with the sign that the sum had.
    Infinity,
    /// Zero.
    Zero,
}

/// What a fold of the element-wise unit sums in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fold {
    /// fp16, rounded at every term.
    Half,
    /// f32, rounded to fp16 at the end.
    F32,
}

/// Where functions of one number come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Functions {
    /// The formula, rounded once.
    Exact,
    /// Tables of 33 entries, where such a table is documented.
    Table,
}

impl Arithmetic {
    /// The sum of `a[i] * b[i]` in the order of `i`, bit for bit as the device stores it. Both are
    /// `[K]`; terms past the shorter one's end are not there.
    #[must_use]
    pub fn dot(&self, a: &[f16], b: &[f16]) -> f16 {
        self.dot_from(f16::ZERO, a, b)
    }

    /// The same with a bias, which is where the sum starts (C68).
    #[must_use]
    pub fn dot_from(&self, bias: f16, a: &[f16], b: &[f16]) -> f16 {
        let mut sum = Accumulator::new(self, bias);
        for (x, w) in a.iter().zip(b) {
            sum.add_product(self.operand(*x), self.operand(*w));
        }
        sum.finish()
    }
}
