//! The price of one dispatch.

use super::{Costs, OpWork, Work};

/// What a dispatch finds when it arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Whether nothing but dispatches ran before it.
    pub queued: bool,
    /// The engine's clock, as share of the full one.
    pub clock: f64,
}

impl Default for State {
    fn default() -> Self {
        Self { queued: false, clock: 1.0 }
    }
}

/// Milliseconds of a dispatch by what takes them. Predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Fixed overhead, most of it on the way to the engine and back.
    pub overhead_ms: f64,
    /// Products.
    pub product_ms: f64,
    /// Everything else that computes.
    pub elementwise_ms: f64,
    /// Waiting for constant weights that products do not hide.
    pub weights_ms: f64,
    /// Inputs, outputs, and operands read again because they did not stay on the chip.
    pub activations_ms: f64,
}

impl Price {
    /// All of it.
    #[must_use]
    pub fn total_ms(&self) -> f64 {
        self.overhead_ms + self.engine_ms()
    }

    /// What the engine itself takes.
    #[must_use]
    pub fn engine_ms(&self) -> f64 {
        self.product_ms + self.elementwise_ms + self.weights_ms + self.activations_ms
    }
}

/// Bytes of an element of fp16.
const ELEMENT: f64 = 2.0;

/// Fixed time of an operation of the elementwise unit (M6, slope over task sizes).
const ELEMENTWISE_TASK_MS: f64 = 0.34e-3;

impl Costs {
    /// How long a dispatch would take.
    #[must_use]
    pub fn dispatch(&self, work: &Work, state: &State) -> Price {
        if let Some(rates) = &self.loop_rates {
            let product_ms = work.flops() / rates.tflops / 1e9;
            return Price { overhead_ms: rates.dispatch_ms, product_ms, ..Price::default() };
        }
        let d = &self.dispatch;
        let mut price = Price {
            overhead_ms: if state.queued { d.queued_ms } else { d.alone_ms },
            activations_ms: self.activations_ms(work.input_bytes as f64 + work.output_bytes as f64),
            ..Price::default()
        };
        for op in &work.ops {
            self.add(&mut price, op, state.clock);
        }
        if let Some(wait) = &d.long_wait
            && price.engine_ms() > wait.after_ms
        {
            price.overhead_ms += wait.extra_ms;
        }
        price
    }

    fn add(&self, price: &mut Price, op: &OpWork, clock: f64) {
        match *op {
            OpWork::MatMul { groups, m, k, n } => {
                price.product_ms += self.product_ms(op, m, n) / clock;
                let again = (self.tiles(m, k) - 1.0) * groups as f64 * k as f64 * n as f64;
                price.activations_ms += self.activations_ms(again * ELEMENT);
            }
            OpWork::Conv { m, k, n, weight_bytes, .. } => {
                let product_ms = self.product_ms(op, m, n) / clock;
                let stream_ms = self.weights_ms(weight_bytes);
                price.product_ms += product_ms;
                price.weights_ms +=
                    if self.prefetches(k) { (stream_ms - product_ms).max(0.0) } else { stream_ms };
            }
            OpWork::Elementwise { elements, passes } => {
                price.elementwise_ms += self.pass_ms(elements as f64 * passes as f64) / clock;
            }
            OpWork::Move { elements } => {
                price.elementwise_ms += self.pass_ms(elements as f64) / clock;
            }
        }
    }

    /// Through the elementwise unit, in one task.
    fn pass_ms(&self, elements: f64) -> f64 {
        elements / self.engine.elementwise_g_per_s / 1e6 + ELEMENTWISE_TASK_MS
    }

    /// Products at the array's rate; rows that are too narrow and passes that are not full cost more.
    fn product_ms(&self, op: &OpWork, m: u64, n: u64) -> f64 {
        if m == 0 || n == 0 {
            return 0.0;
        }
        let e = &self.engine;
        let wide = m.max(e.narrow_columns as u64) as f64 / m as f64;
        let channels = e.pass_channels as u64;
        let last = (n % channels) as f64 / channels as f64;
        let passes = (n / channels) as f64 + if last > 0.0 { last.max(e.pass_floor) } else { 0.0 };
        let full = passes * channels as f64 / n as f64;
        op.flops() * wide * full / e.peak_tflops / 1e9
    }

    /// Pieces of an activation `[m, k]` that fit the chip; the other operand is read for each.
    fn tiles(&self, m: u64, k: u64) -> f64 {
        (m as f64 * k as f64 * ELEMENT / self.engine.tile_bytes as f64).ceil().max(1.0)
    }

    /// Whether a core can load a slice of weights while it works on another: its 1/16 of a pass's
    /// output channels, `k` terms each, must fit twice.
    fn prefetches(&self, k: u64) -> bool {
        let outputs = (self.engine.pass_channels / self.engine.cores).max(1) as f64;
        2.0 * outputs * k as f64 * ELEMENT <= self.engine.slice_bytes as f64
    }

    /// Weights from memory; slower where every core's part is a whole number of MiB.
    fn weights_ms(&self, bytes: u64) -> f64 {
        let stride = (self.engine.cores as u64) << 20;
        let aliased = bytes > 0 && bytes.is_multiple_of(stride);
        let m = &self.memory;
        let rate = if aliased { m.aliased_gb_per_s } else { m.weights_gb_per_s };
        bytes as f64 / rate / 1e6
    }

    fn activations_ms(&self, bytes: f64) -> f64 {
        bytes / self.memory.activations_gb_per_s / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::LoopRates;

    fn ms(op: OpWork) -> Price {
        let work = Work { ops: vec![op], ..Work::default() };
        Costs::of("m4").unwrap().dispatch(&work, &State::default())
    }

    #[test]
    fn a_pass_that_is_nearly_empty_costs_a_quarter() {
        let product = |n| ms(OpWork::MatMul { groups: 1, m: 128, k: 256, n }).product_ms;
        assert!((product(272) / product(256) - 1.25).abs() < 1e-9);
        assert!((product(512) / product(256) - 2.0).abs() < 1e-9);
        assert_eq!(product(0), 0.0);
    }

    #[test]
    fn narrow_rows_are_charged_as_wide_ones() {
        let product = |m| ms(OpWork::MatMul { groups: 1, m, k: 256, n: 256 }).product_ms;
        assert_eq!(product(1), product(32));
        assert!(product(64) > product(32));
    }

    #[test]
    fn weights_whose_addresses_collide_stream_slowly() {
        let stream =
            |weight_bytes| ms(OpWork::Conv { groups: 1, m: 1, k: 4096, n: 4096, weight_bytes });
        let (good, bad) = (stream((32 << 20) - 64), stream(32 << 20));
        assert!(bad.weights_ms > 1.5 * good.weights_ms, "{good:?} {bad:?}");
    }

    #[test]
    fn short_sums_hide_their_weights() {
        let price = |k| ms(OpWork::Conv { groups: 1, m: 4096, k, n: 256, weight_bytes: k * 512 });
        assert_eq!(price(1024).weights_ms, 0.0);
        assert!(price(1025).weights_ms > 0.0);
    }

    #[test]
    fn operands_that_do_not_fit_are_read_again() {
        let price = |m| ms(OpWork::MatMul { groups: 1, m, k: 1024, n: 1024 });
        assert_eq!(price(1024).activations_ms, 0.0);
        assert!(price(1025).activations_ms > 0.0);
    }

    #[test]
    fn rates_of_loops_replace_everything_else() {
        let mut costs = Costs::of("m6").unwrap();
        costs.loop_rates = Some(LoopRates::PUBLISHED);
        costs.check().unwrap();
        let ops = vec![
            OpWork::MatMul { groups: 1, m: 1000, k: 1000, n: 1895 },
            OpWork::Move { elements: 1 << 17 },
        ];
        let work = Work { input_bytes: 1 << 20, output_bytes: 1 << 18, ops };
        let price = costs.dispatch(&work, &State { clock: 0.5, queued: true });
        assert!((price.total_ms() - 1.108).abs() < 1e-9, "{price:?}");
        costs.loop_rates = Some(LoopRates { tflops: 0.0, ..LoopRates::PUBLISHED });
        assert!(costs.check().is_err());
    }

    #[test]
    fn a_slow_clock_slows_arithmetic_and_nothing_else() {
        let ops = vec![
            OpWork::MatMul { groups: 1, m: 256, k: 512, n: 512 },
            OpWork::Move { elements: 1 << 17 },
        ];
        let work = Work { input_bytes: 1 << 20, output_bytes: 1 << 18, ops };
        let costs = Costs::of("m4").unwrap();
        let full = costs.dispatch(&work, &State::default());
        let slow = costs.dispatch(&work, &State { clock: 0.5, queued: false });
        assert!((slow.product_ms / full.product_ms - 2.0).abs() < 1e-9);
        assert!((slow.elementwise_ms / full.elementwise_ms - 2.0).abs() < 1e-9);
        assert_eq!(slow.activations_ms, full.activations_ms);
        assert_eq!(slow.overhead_ms, full.overhead_ms);
    }
}
