//! How long the engine's compiler would take.

use aneal_mil::Function;

use super::Costs;

impl Costs {
    /// Milliseconds to compile a program of so many operations, constants not counted, of which so
    /// many elementwise. Predicted; what else the machine does can double it.
    #[must_use]
    pub fn compile_ms(&self, ops: usize, elementwise: usize) -> f64 {
        let c = &self.compile;
        let dual = c
            .dual_engine
            .as_ref()
            .map_or(0.0, |dual| dual.at_128_ms * (elementwise as f64 / 128.0).powf(dual.exponent));
        c.program_ms + c.op_ms * ops as f64 + dual
    }

    /// [`Costs::compile_ms`] of a function.
    #[must_use]
    pub fn compile_function_ms(&self, function: &Function) -> f64 {
        let computed =
            || function.operations.iter().filter(|op| !op.def.is_const() && !op.def.is_constexpr());
        let elementwise = computed().filter(|op| op.def.is_elementwise()).count();
        self.compile_ms(computed().count(), elementwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published compile times of elementwise chains for two engines (C79).
    #[test]
    fn long_chains_on_two_engines_take_minutes() {
        let costs = Costs::of("m6").unwrap();
        for (ops, seconds) in [(128, 1.13), (192, 4.57), (256, 13.1), (384, 61.3), (512, 178.6)] {
            let predicted = costs.compile_ms(ops, ops) / 1e3;
            let error = predicted / seconds - 1.0;
            assert!(error.abs() < 0.15, "{ops}: predicted {predicted} s, published {seconds} s");
        }
        assert!(Costs::of("m4").unwrap().compile_ms(512, 512) < 1e3);
    }
}
