//! A sum of products in the making, from the bias to the stored value.

use half::f16;

use super::sum::{Sum, held};
use super::{Arithmetic, Groups, Overflow, to_half};

/// Products in a group, where there are groups (6.1).
const GROUP: u8 = 4;

/// One output element's sum of products. Operands are given decoded, see [`Arithmetic::operand`].
///
/// ```
/// # use aneal_ane::{Profile, arithmetic::Accumulator};
/// # use half::f16;
/// let arithmetic = Profile::named("m4")?.arithmetic;
/// let mut sum = Accumulator::new(&arithmetic, f16::ZERO);
/// sum.add_product(3.0, 0.5);
/// assert_eq!(sum.finish().to_f32(), 1.5);
/// # Ok::<(), aneal_ane::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Accumulator<'a> {
    arithmetic: &'a Arithmetic,
    sum: Sum,
    /// fp16, as f32: the products since the last full group.
    group: f32,
    grouped: u8,
    /// What the sum became when it overflowed: more terms change nothing.
    ended: Option<f64>,
}

impl<'a> Accumulator<'a> {
    /// A sum that starts with a bias; the bias counts towards the limit (C68).
    #[must_use]
    pub fn new(arithmetic: &'a Arithmetic, bias: f16) -> Self {
        let sum = Sum::zero(arithmetic.accumulator);
        let mut it = Self { arithmetic, sum, group: 0.0, grouped: 0, ended: None };
        if bias != f16::ZERO {
            it.add(held(arithmetic.decoded(bias), arithmetic.bias));
        }
        it
    }

    /// Adds the product of two decoded operands.
    pub fn add_product(&mut self, x: f32, w: f32) {
        let product = self.arithmetic.product(x, w);
        if self.arithmetic.groups == Groups::One {
            return self.add(product);
        }
        // Two fp16 values are exact in an f64's 53 bits, so this rounds once. The first of a group
        // adds itself to 0.
        let sum = f64::from(self.group) + f64::from(product);
        self.group = to_half(sum, self.arithmetic.tie).to_f32();
        self.grouped += 1;
        if self.grouped == GROUP {
            self.end_group();
        }
    }

    /// The sum as it is stored.
    #[must_use]
    pub fn finish(mut self) -> f16 {
        if self.grouped > 0 {
            self.end_group();
        }
        to_half(self.ended.unwrap_or_else(|| self.sum.value()), self.arithmetic.tie)
    }

    fn end_group(&mut self) {
        let group = std::mem::take(&mut self.group);
        self.grouped = 0;
        self.add(group);
    }

    /// Adds a term to the partial sum, unless that has ended, and looks at its size.
    fn add(&mut self, term: f32) {
        if self.ended.is_some() {
            return;
        }
        self.sum.add(term);
        let partial = self.sum.value();
        if partial.abs() >= f64::from(self.arithmetic.partial_limit) {
            self.ended = Some(match self.arithmetic.overflow {
                Overflow::Infinity => f64::INFINITY.copysign(partial),
                Overflow::Zero => 0.0,
            });
        }
    }
}
