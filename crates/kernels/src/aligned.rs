//! A growing buffer of plain numbers that starts on a cache line.

use bytemuck::{Pod, Zeroable};

/// 64 bytes on a 64-byte boundary: a cache line, and a 512-bit register.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Values whose first one lies on a cache line, so that full vectors never straddle two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aligned {
    lines: Vec<Line>,
}

impl Aligned {
    /// The first `n` values, of any content, after growing to hold them. Never shrinks.
    pub(crate) fn first<T: Pod>(&mut self, n: usize) -> &mut [T] {
        let lines = (n * size_of::<T>()).div_ceil(size_of::<Line>());
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0; 16]));
        }
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..n]
    }

    /// All values.
    pub(crate) fn values<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(&self.lines)
    }
}
