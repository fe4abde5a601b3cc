//! Two operands make a product: which are dropped, which rounded.

use super::{Arithmetic, Groups, LEAST_NORMAL, Product, Subnormals, to_half};

impl Arithmetic {
    /// What the product of two decoded operands adds to a sum. A fixed-point accumulator rounds it
    /// once more, to its own step, as it adds.
    ///
    /// The product of two fp16 values has 22 bits and an exponent of -48 or more: it is exact in f32.
    #[must_use]
    pub fn product(&self, x: f32, w: f32) -> f32 {
        if let Some(least) = self.least_product_exponent
            && exponent(x) + exponent(w) < least
        {
            return 0.0; // even when the value is almost four times 2^(least - 1) (B.2(3))
        }
        let product = x * w;
        if self.subnormal_products == Subnormals::Flush && product.abs() < LEAST_NORMAL {
            return 0.0; // before rounding: "any product below 6.1e-5 vanishes" (6.1)
        }
        match (self.product, self.groups) {
            (Product::Exact, Groups::One) => product,
            // What groups add is fp16 as well.
            _ => to_half(f64::from(product), self.tie).to_f32(),
        }
    }
}

/// The exponent of an fp16 value held in an f32. Zero and subnormals count as -14 (B.2(3)).
fn exponent(x: f32) -> i32 {
    (((x.to_bits() >> 23) & 0xFF) as i32 - 127).max(-14)
}
