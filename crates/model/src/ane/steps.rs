//! A plan being put in order.

use super::{HostOp, KernelSpec, Order, Section, Step};

/// Steps, with the programs that they dispatch.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) kernels: Vec<KernelSpec>,
    steps: Vec<Step>,
    pub(super) sections: Vec<Section>,
}

impl Steps {
    pub(super) fn dispatch(&mut self, kernel: KernelSpec) {
        self.steps.push(Step::Dispatch(self.kernels.len()));
        self.kernels.push(kernel);
    }

    pub(super) fn host(&mut self, op: HostOp) {
        self.steps.push(Step::Host(op));
    }

    pub(super) fn worker(&mut self, op: HostOp) {
        self.steps.push(Step::Worker(op));
    }

    /// What the CPU does from the last layer's stream to its gradient.
    pub(super) fn head(&mut self) {
        self.host(HostOp::FinalNorm);
        self.host(HostOp::Classifier);
        self.host(HostOp::Loss);
        self.host(HostOp::ClassifierBackward);
        self.worker(HostOp::ClassifierWeightGrad);
        self.host(HostOp::FinalNormBackward);
    }

    pub(super) fn end(&mut self, order: Order) {
        self.sections.push(Section { order, steps: std::mem::take(&mut self.steps) });
    }
}
