//! What an emulated engine was asked to do, and what the clock makes of it.

use super::Call;

/// Counts since the engine was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Programs compiled, refused ones included; what was in the cache is not counted.
    pub compiles: u64,
    /// Programs loaded.
    pub loads: u64,
    /// Requests run.
    pub evaluates: u64,
    /// Predicted milliseconds of compiling.
    pub predicted_compile_ms: f64,
    /// Predicted milliseconds of the engine's requests, each on its own at full clock; 0 for a profile
    /// without known costs.
    pub predicted_evaluate_ms: f64,
    /// Arithmetic operations of the products in those requests.
    pub flops: f64,
}

impl Statistics {
    /// Counts a call; its number, from 1 on.
    pub(super) fn count(&mut self, call: Call) -> u64 {
        let counter = match call {
            Call::Compile => &mut self.compiles,
            Call::Load => &mut self.loads,
            Call::Evaluate => &mut self.evaluates,
        };
        *counter += 1;
        *counter
    }
}
