//! Numbers that differ between devices.

use aneal_mil::lint;
use serde::Deserialize;

/// What a program, or a process, may not exceed. The profile states every one, also those whose rule
/// is not in force, so that a rule can be switched on alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Elements along one axis (C2).
    pub axis: usize,
    /// Inputs of a function that are bound right (C25).
    pub inputs: usize,
    /// Weight blobs of a program (C6).
    pub blobs: usize,
    /// Columns of a convolution's window (C7, C89).
    pub conv_width: usize,
    /// Elements that softmax normalises as a whole (C13).
    pub softmax: usize,
    /// Operations in the longest chain (C78).
    pub depth: usize,
    /// Element-wise operations of a program (C79).
    pub elementwise: usize,
    /// Inner dimension of a product in one pass at full speed (C52).
    pub contraction: usize,
    /// Programs that a process can keep loaded (C1).
    pub resident_programs: usize,
}

impl Limits {
    /// Those that the linter of programs knows.
    pub(super) fn of_programs(&self) -> lint::Limits {
        let Self { axis, inputs, blobs, conv_width, softmax, .. } = *self;
        let Self { depth, elementwise, contraction, .. } = *self;
        lint::Limits { axis, inputs, blobs, conv_width, softmax, depth, elementwise, contraction }
    }

    /// Each with its key.
    pub(super) fn entries(&self) -> [(&'static str, usize); 9] {
        [
            ("axis", self.axis),
            ("inputs", self.inputs),
            ("blobs", self.blobs),
            ("conv_width", self.conv_width),
            ("softmax", self.softmax),
            ("depth", self.depth),
            ("elementwise", self.elementwise),
            ("contraction", self.contraction),
            ("resident_programs", self.resident_programs),
        ]
    }
}
