//! Core ML's protobuf: the same programs for the public framework, and for coremltools.

mod decode;
mod encode;
mod message;
mod package;

pub use package::Package;

use crate::Opset;

/// What a set of operations is called in the protobuf, and the specification version that goes
/// with it (coremltools 9.0, facts addendum A.6).
fn version(opset: Opset) -> (&'static str, i32) {
    match opset {
        Opset::Ios15 => ("CoreML5", 6),
        Opset::Ios16 => ("CoreML6", 7),
        Opset::Ios17 => ("CoreML7", 8),
        Opset::Ios18 => ("CoreML8", 9),
    }
}
