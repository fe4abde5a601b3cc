//! Which buffer a value gets: the smallest one that is free and large enough, else one that grows.

/// Buffers of a plan in the making.
#[derive(Debug, Default)]
pub(super) struct BufferPool {
    /// Elements of each.
    sizes: Vec<usize>,
    /// Uses that values in each still have before them.
    uses: Vec<u32>,
    free: Vec<usize>,
}

impl BufferPool {
    /// A buffer for `elements`, which nothing uses yet.
    pub(super) fn take(&mut self, elements: usize) -> usize {
        let fits = |&&at: &&usize| self.sizes[at] >= elements;
        let best = self.free.iter().filter(fits).min_by_key(|&&at| self.sizes[at]);
        let best = best.or_else(|| self.free.iter().max_by_key(|&&at| self.sizes[at])).copied();
        let Some(at) = best else {
            self.sizes.push(elements);
            self.uses.push(0);
            return self.sizes.len() - 1;
        };
        self.free.retain(|&other| other != at);
        self.sizes[at] = self.sizes[at].max(elements);
        at
    }

    /// A value in the buffer will be used so often.
    pub(super) fn expect(&mut self, buffer: usize, uses: u32) {
        self.uses[buffer] += uses;
    }

    /// One of the expected uses is over.
    pub(super) fn used(&mut self, buffer: usize) {
        self.uses[buffer] = self.uses[buffer].saturating_sub(1);
    }

    /// Gives back buffers of which no use is expected.
    pub(super) fn release(&mut self) {
        for at in 0..self.sizes.len() {
            if self.uses[at] == 0 && !self.free.contains(&at) {
                self.free.push(at);
            }
        }
    }

    /// Elements of each buffer.
    pub(super) fn sizes(self) -> Vec<usize> {
        self.sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_never_while_in_use() {
        let mut pool = BufferPool::default();
        let (a, b) = (pool.take(10), pool.take(20));
        pool.expect(a, 2);
        pool.expect(b, 1);
        pool.release();
        pool.used(a);
        pool.release();
        let c = pool.take(5);
        assert!(c != a && c != b, "both are in use");
        pool.used(a);
        pool.used(b);
        pool.release();
        assert_eq!(pool.take(15), b, "the smallest that is large enough");
        assert_eq!(pool.take(11), a, "one that grows, before a new one");
        assert_eq!(pool.sizes(), [11, 20, 5]);
    }
}
