//! Which loops a profile's products run through, and when sums are small enough for them.

use aneal_kernels::simd::Level;
use half::f16;

use super::Mode;
use super::decode::{Decoding, Role};
use super::panels::Extent;
use super::round::Sums;
use super::rule::{STEPS, is_large};
use super::tile::{Kernel, Size};
use crate::arithmetic::{Arithmetic, Groups, LEAST_NORMAL, Product, Subnormals, Tie, Wide};

/// Largest limit of partial sums that 32-bit sums serve: 2^31 steps.
const MOST_LIMIT: f32 = 32_768.0;

/// What dropped products may change before fast mode computes a tile exactly, in parts of the size
/// that a sum of independent terms would have, see [`Plan::may_miss`].
const MISSED: f32 = 1.0 / 128.0;

/// The loops for a profile.
#[derive(Clone, Debug)]
pub(super) struct Plan<'a> {
    pub(super) arithmetic: &'a Arithmetic,
    pub(super) level: Level,
    pub(super) size: Size,
    pub(super) left: Decoding,
    pub(super) right: Decoding,
    /// Partial sums whose bound is below never overflow.
    pub(super) limit: f32,
    fast: bool,
    exact: Option<Exact>,
    /// Products below this size may vanish. 0 if none do.
    vanishing: f32,
}

/// Arithmetics that there are exact loops for. All built-in profiles are among them.
#[derive(Clone, Copy, Debug)]
enum Exact {
    Fixed,
    Half { fours: bool, fixed: bool, away: bool },
}

/// What a tile is computed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) kernel: Kernel,
    pub(super) sums: Sums,
}

impl<'a> Plan<'a> {
    pub(super) fn new(arithmetic: &'a Arithmetic, mode: Mode, level: Level) -> Self {
        let exact = Exact::of(arithmetic);
        let least = arithmetic.least_product_exponent.map(two_to);
        let roles = match exact {
            Some(Exact::Fixed) => [Role::FixedLeft { least }, Role::FixedRight],
            _ => [Role::Factor; 2],
        };
        let [left, right] = roles.map(|role| Decoding::new(arithmetic, role));
        let flushed = match arithmetic.subnormal_products {
            Subnormals::Flush => LEAST_NORMAL,
            Subnormals::Keep => 0.0,
        };
        Self {
            arithmetic,
            level,
            size: Size::of(level),
            left,
            right,
            limit: arithmetic.partial_limit.min(MOST_LIMIT),
            fast: mode == Mode::Fast,
            exact,
            // Values of a dropped product's operands are below 2^(exponent + 1).
            vanishing: flushed.max(least.map_or(0.0, |least| 2.0 * least)),
        }
    }

    /// Sizes of left and right operands one of which is in every product that may vanish, if fast
    /// mode must know. `means` are the operands' root mean squares.
    pub(super) fn vanishing_operands(&self, means: [f32; 2]) -> Option<[f32; 2]> {
        if !self.fast || self.vanishing == 0.0 {
            return None;
        }
        let ratio = means[0] / means[1];
        let ratio = if ratio > 0.0 && ratio.is_finite() { ratio } else { 1.0 };
        let left = (self.vanishing * ratio).sqrt();
        Some([left, self.vanishing / left * (1.0 + 4.0 * f32::EPSILON)])
    }

    /// A bound on all partial sums: of a start of size `start` and `terms` products whose sum of
    /// sizes is at most `products`. Every product is off by half a step or by an fp16 rounding, a
    /// group of four by three more, an f32 sum by one of its own at every term.
    pub(super) fn bound(&self, start: f32, products: f32, terms: usize) -> f32 {
        let terms = terms as f32;
        (start + products) * (1.004 + terms * (2.0 * f32::EPSILON)) + (terms + 1.0) * 0.5 / STEPS
    }

    /// What computes a tile of these operands, `inner` products a sum; nothing where no loop does.
    /// `fits` says that its sums are known to stay below the limit.
    pub(super) fn choose(
        &self,
        left: &Extent,
        right: &Extent,
        inner: usize,
        fits: bool,
    ) -> Option<Choice> {
        if self.fast && fits && !self.may_miss(left, right, inner) {
            let sums = Sums::F32 { scale: self.left.scale() };
            return Some(Choice { kernel: Kernel::Plain, sums });
        }
        Some(match self.exact? {
            Exact::Fixed => {
                let large = is_large(left.peak, right.peak);
                let drops = left.edge > right.edge;
                Choice { kernel: Kernel::Fixed { large, drops }, sums: Sums::Steps }
            }
            Exact::Half { fours, fixed, away } => Choice {
                kernel: Kernel::Half { fours, fixed, away },
                sums: if fixed { Sums::Steps } else { Sums::F32 { scale: 1.0 } },
            },
        })
    }

    /// Whether there are exact loops for the profile.
    #[cfg(test)]
    pub(super) fn has_loop(&self) -> bool {
        self.exact.is_some()
    }

    /// Whether vanishing products may be missed where they are not dropped: the bound on what they
    /// sum to (their number times their largest size) exceeds [`MISSED`] of the size that sums of
    /// independent terms would have, |x| |w| / sqrt(K).
    fn may_miss(&self, left: &Extent, right: &Extent, inner: usize) -> bool {
        let vanished = (left.small + right.small) * self.vanishing;
        vanished * (inner as f32).sqrt() > MISSED * left.shortest * right.shortest
    }

    /// A bias as numbers that sums start at (B.2(5), C68). It is never flushed.
    pub(super) fn held<'b>(&self, bias: &'b [f16]) -> impl Iterator<Item = f32> + use<'b> {
        let kept = Arithmetic { subnormal_operands: Subnormals::Keep, ..self.arithmetic.clone() };
        let rounds = [kept.bias, kept.accumulator].contains(&Wide::Fixed);
        bias.iter().map(move |bias| {
            let value = kept.operand(*bias);
            if rounds { (value * STEPS).round() / STEPS } else { value }
        })
    }
}

impl Exact {
    fn of(arithmetic: &Arithmetic) -> Option<Self> {
        let fixed = arithmetic.accumulator == Wide::Fixed;
        let flush = arithmetic.subnormal_products == Subnormals::Flush;
        let fours = arithmetic.groups == Groups::Four;
        match arithmetic.product {
            Product::Exact if fixed && !flush && !fours => Some(Self::Fixed),
            // Exponents that sum to -16 or less make a product below 2^-14: flushed anyway.
            Product::Half
                if flush && arithmetic.least_product_exponent.is_none_or(|e| e <= -15) =>
            {
                Some(Self::Half { fours, fixed, away: arithmetic.tie == Tie::Away })
            }
            _ => None,
        }
    }
}

/// 2^`exponent`, beyond the sums of two fp16 exponents of some size.
fn two_to(exponent: i32) -> f32 {
    f32::from_bits(((exponent.clamp(-64, 64) + 127) as u32) << 23)
}
