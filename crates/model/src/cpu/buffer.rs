//! Memory whose length follows the micro-batch.

use std::ops::{Deref, DerefMut};

use aneal_kernels::Element;

/// A slice whose length may shrink and grow again without being cleared; it only allocates when it
/// grows beyond its longest. Values that were not written since are zero or old.
#[derive(Debug, Default)]
pub(super) struct Buffer<T> {
    values: Vec<T>,
    len: usize,
}

impl<T: Element> Buffer<T> {
    /// Sets the length.
    pub(super) fn fit(&mut self, len: usize) {
        if self.values.len() < len {
            self.values.resize(len, T::from_f32(0.0));
        }
        self.len = len;
    }

    /// Moves the last `kept` rows of every group of rows to the front, in order.
    pub(super) fn keep_tails(&mut self, width: usize, group: usize, kept: usize) {
        for index in 0..self.len / (group * width) {
            let from = ((index + 1) * group - kept) * width;
            self.values.copy_within(from..from + kept * width, index * kept * width);
        }
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_rows_of_every_group() {
        let mut buffer = Buffer::default();
        buffer.fit(12);
        for (i, value) in buffer.iter_mut().enumerate() {
            *value = i as f32;
        }
        buffer.keep_tails(2, 3, 1);
        buffer.fit(4);
        assert_eq!(*buffer, [4.0, 5.0, 10.0, 11.0]);
        buffer.fit(12);
        assert_eq!(buffer.len(), 12);
    }
}
