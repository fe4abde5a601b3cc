//! Rules about how large a program is.

use std::collections::HashSet;

use super::scan::Scan;
use super::{Hit, Limits};
use crate::literal::Data;
use crate::program::Operation;

/// A hit on a function as a whole.
fn whole(scan: &Scan<'_>, found: String) -> Vec<Hit> {
    vec![Hit::new(&scan.function.name, found)]
}

pub(super) fn depth(scan: &Scan<'_>, limits: &Limits) -> Vec<Hit> {
    let mut depths = vec![0_usize; scan.function.values.len()];
    for op in scan.computing() {
        let deepest = op.uses().map(|id| depths[id.index()]).max().unwrap_or(0) + 1;
        op.results.iter().for_each(|id| depths[id.index()] = deepest);
    }
    match depths.into_iter().max() {
        Some(depth) if depth > limits.depth => whole(scan, format!("{depth} operations in a row")),
        _ => Vec::new(),
    }
}

pub(super) fn elementwise(scan: &Scan<'_>, limits: &Limits) -> Vec<Hit> {
    let count = scan.computing().filter(|op| op.def.is_elementwise()).count();
    if count <= limits.elementwise {
        return Vec::new();
    }
    // The compile time grows with the 3.7th power: 13 s at 256.
    let seconds = 13.0 * (count as f64 / 256.0).powf(3.7);
    whole(scan, format!("{count} element-wise operations, about {seconds:.0} s to compile"))
}

pub(super) fn blobs(scan: &Scan<'_>, limits: &Limits) -> Vec<Hit> {
    let operations = scan.program.functions.iter().flat_map(|f| &f.operations);
    let blobs: HashSet<_> = operations
        .flat_map(Operation::literals)
        .filter_map(|literal| match literal.data() {
            Data::Blob(blob) => Some((&blob.path, blob.offset)),
            _ => None,
        })
        .collect();
    if blobs.len() <= limits.blobs {
        return Vec::new();
    }
    whole(scan, format!("{} weight blobs", blobs.len()))
}

pub(super) fn convolutions(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    /// Where the compiler's process was seen to die.
    const DEEP: usize = 512;
    let count = scan.computing().filter(|op| op.def.name == "conv").count();
    if count < DEEP { Vec::new() } else { whole(scan, format!("{count} convolutions")) }
}

pub(super) fn constant_bytes(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    /// 1.2 GB, from where on weights leave the engine.
    const MOST: usize = 1_200_000_000;
    let literals = scan.function.operations.iter().flat_map(Operation::literals);
    let bytes: usize = literals.map(|literal| literal.ty().bytes()).sum();
    if bytes <= MOST {
        return Vec::new();
    }
    whole(scan, format!("{} MB of constants", bytes / 1_000_000))
}

pub(super) fn many_operations(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    /// Where published generators that slice inputs inside of a large program failed.
    const LARGE: usize = 64;
    if scan.computing().count() <= LARGE {
        return Vec::new();
    }
    scan.each(&["slice_by_index", "slice_by_size"], |op| {
        let input = scan.maker(op, "x").is_none();
        input.then(|| "a slice of an input in a large program".to_owned())
    })
}
