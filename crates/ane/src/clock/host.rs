//! What the CPU does in a step, and how long it takes.

use super::Costs;

/// A piece of the CPU's work. Counts are of elements unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HostWork {
    /// Written to a surface or read from one, fp32 on the CPU's side.
    Convert(f64),
    /// Copied as they are, or repeated for grouped heads and summed over them.
    Copy(f64),
    /// Passed through a normalisation, forward or backward.
    Norm(f64),
    /// Passed through the backward of a gated activation.
    Gate(f64),
    /// Logits of the loss.
    Loss(f64),
    /// A product `[m, k] x [k, n]` in fp32, as count of arithmetic operations.
    MatMul(f64),
    /// Parameters that an update changes: clip, Adam, transpose, stage.
    Update(f64),
}

impl Costs {
    /// How long the CPU would take, in milliseconds.
    #[must_use]
    pub fn host(&self, work: HostWork) -> f64 {
        let h = &self.host;
        match work {
            HostWork::Convert(n) => n / h.convert_g_per_s / 1e6,
            HostWork::Copy(n) => n / h.copy_g_per_s / 1e6,
            HostWork::Norm(n) => n / h.norm_g_per_s / 1e6,
            HostWork::Gate(n) => n / h.gate_g_per_s / 1e6,
            HostWork::Loss(n) => n / h.loss_g_per_s / 1e6,
            HostWork::MatMul(flops) => flops / h.matmul_tflops / 1e9,
            HostWork::Update(n) => n * h.update_ns_per_param / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_prices_in_milliseconds() {
        let mut costs = Costs::of("m4").unwrap();
        costs.host.convert_g_per_s = 2.0;
        costs.host.matmul_tflops = 4.0;
        costs.host.update_ns_per_param = 3.0;
        assert_eq!(costs.host(HostWork::Convert(2e6)), 1.0);
        assert_eq!(costs.host(HostWork::MatMul(4e9)), 1.0);
        assert_eq!(costs.host(HostWork::Update(1e6)), 3.0);
    }
}
