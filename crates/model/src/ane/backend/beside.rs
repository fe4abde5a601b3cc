//! Work beside the engine: everything that adds to gradients of parameters, in the order in which
//! it was asked for, while the step goes on.
//!
//! Pieces are run one after another by whatever thread has time, each on as many threads as it finds
//! free, so sums come out the same whenever that is.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aneal_kernels::embedding;

use super::tensors::{Operand, Values};
use crate::cpu::WeightGradOperands;
use crate::{Grads, Profile};

/// An addition to gradients. `scale` is a factor of what is added.
#[derive(Debug)]
pub(super) enum Job {
    /// `dW[out, in] += scale dy[T, out]^T x[T, in]`
    Product { slot: Range<usize>, dy: Operand, x: Operand, scale: f32 },
    /// `dw[n] += scale values[n]`
    Add { slot: Range<usize>, values: Values, scale: f32 },
    /// `dtable[ids[t], D] += dx[t, D]` for every token, D being `width`.
    Embedding { slot: Range<usize>, ids: Vec<u32>, dx: Values, width: usize },
}

/// What jobs work with.
pub(super) struct Sums<'a> {
    pub(super) grads: &'a mut Grads,
    pub(super) operands: &'a mut WeightGradOperands<f32>,
    pub(super) profile: &'a mut Profile,
}

/// A queue of jobs and who is at it.
pub(super) struct Beside<'a> {
    queue: Mutex<VecDeque<Job>>,
    sums: Mutex<Sums<'a>>,
}

impl<'a> Beside<'a> {
    pub(super) fn new(sums: Sums<'a>) -> Self {
        Self { queue: Mutex::default(), sums: Mutex::new(sums) }
    }

    /// Puts a job behind all others.
    pub(super) fn push(&self, job: Job) {
        locked(&self.queue).push_back(job);
    }

    /// Does what is to be done, unless somebody is at it: a thread that waits for parts of a job may
    /// come by here again, and must not wait for itself. A job that is pushed at the wrong moment stays
    /// until the next call, of which there is one at the end.
    pub(super) fn work(&self) {
        let Ok(mut sums) = self.sums.try_lock() else { return };
        loop {
            let job = locked(&self.queue).pop_front();
            let Some(job) = job else { return };
            sums.run(job);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sums<'_> {
    fn run(&mut self, job: Job) {
        match job {
            Job::Product { slot, dy, x, scale } => {
                self.operands.pack_dy(self.profile, dy.matrix());
                self.operands.add(self.profile, self.grads.slice_mut(&slot), scale, x.matrix());
            }
            Job::Add { slot, values, scale } => {
                let sums = self.grads.slice_mut(&slot).iter_mut();
                sums.zip(&*values).for_each(|(sum, v)| *sum += scale * v);
            }
            Job::Embedding { slot, ids, dx, width } => {
                embedding::backward(self.grads.slice_mut(&slot), &ids, &dx, width);
            }
        }
    }
}
