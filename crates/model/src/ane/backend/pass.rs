//! A micro-batch on its way through the plan: programs on the engine, the CPU's work between them.

use std::collections::HashMap;
use std::time::Instant;

use aneal_ane::engine::Engine;
use aneal_kernels::rope;

use super::beside::Job;
use super::convert::{self, Place};
use super::head::Head;
use super::program::{self, Port, Program};
use super::tensors::{Tensors, Values};
use super::weights::Weights;
use super::{MicroBatch, Times};
use crate::ane::{Activation, Content, HostOp, Order, Plan, Step};
use crate::{Error, Result};

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Purpose {
    /// Gradients.
    Train {
        /// Factor of the gradient of the mean loss of the micro-batch: what the engine computes with.
        scale: f32,
        /// Factor of what comes out, the micro-batch's part of the batch.
        share: f32,
    },
    /// The losses of some tokens.
    Score,
}

/// Where the outputs that only pass through the CPU come from: program, output, and the block in it.
pub(super) type Passing = HashMap<Activation, (usize, usize, Place)>;

/// What does not change during a pass.
#[derive(Clone, Copy)]
pub(super) struct Machine<'a> {
    pub(super) plan: &'a Plan,
    pub(super) engine: &'a dyn Engine,
    pub(super) programs: &'a [Program],
    pub(super) passing: &'a Passing,
    pub(super) weights: &'a Weights,
    pub(super) angles: &'a rope::Channels,
}

/// What does, kept from pass to pass so that memory is used again.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tensors: Tensors,
    pub(super) norms: Vec<Norms>,
    /// `[T, D]`, of the loss by the residual stream.
    pub(super) stream_grad: Vec<f32>,
    /// Working memory of the norms' backward.
    pub(super) partial: Vec<f32>,
    pub(super) head: Head,
    pub(super) times: Times,
    /// Values of surfaces that fp16 could not hold.
    pub(super) beyond: u64,
}

/// What a layer's norms leave for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Norms {
    /// `[T, D]`, before the layer.
    pub(super) stream: Values,
    /// `[T]` each.
    pub(super) attention_inv_rms: Vec<f32>,
    pub(super) ffn_inv_rms: Vec<f32>,
}

impl State {
    pub(super) fn new(plan: &Plan) -> Self {
        let layers = plan.model.layers;
        Self {
            tensors: Tensors::new(plan.name, layers),
            norms: vec![Norms::default(); layers],
            stream_grad: Vec::new(),
            partial: Vec::new(),
            head: Head::default(),
            times: Times::default(),
            beyond: 0,
        }
    }
}

/// See the module.
pub(super) struct Pass<'a> {
    pub(super) machine: Machine<'a>,
    pub(super) micro: &'a MicroBatch,
    pub(super) purpose: Purpose,
    pub(super) state: &'a mut State,
    /// Hands over work to be done beside the engine.
    pub(super) beside: &'a dyn Fn(Job),
}

impl Pass<'_> {
    /// Everything but the update; without gradients, up to the losses.
    pub(super) fn run(&mut self) -> Result<()> {
        let Machine { plan, .. } = self.machine;
        for section in &plan.sections {
            let layers = plan.model.layers;
            let of_section: Box<dyn Iterator<Item = usize>> = match section.order {
                Order::Once => Box::new(0..1),
                Order::Layers => Box::new(0..layers),
                Order::LayersBackwards => Box::new((0..layers).rev()),
                Order::Update => continue,
            };
            for layer in of_section {
                for step in &section.steps {
                    match *step {
                        Step::Dispatch(place) => self.dispatch(place, layer)?,
                        Step::Host(op) | Step::Worker(op) => {
                            let start = Instant::now();
                            self.host(op, layer)?;
                            self.state.times.host_s += start.elapsed().as_secs_f64();
                            if op == HostOp::Loss && self.purpose == Purpose::Score {
                                return Ok(());
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn host(&mut self, op: HostOp, layer: usize) -> Result<()> {
        match op {
            HostOp::Embedding => self.embedding(),
            HostOp::AttentionNorm => self.attention_norm(layer)?,
            HostOp::RepeatHeads => self.repeat_heads(layer)?,
            HostOp::FfnNorm => self.ffn_norm(layer)?,
            HostOp::Gate => self.gate(layer)?,
            HostOp::FfnResidual => self.ffn_residual(layer)?,
            HostOp::FinalNorm => self.final_norm()?,
            HostOp::Classifier => self.classifier(),
            HostOp::Loss => self.loss(),
            HostOp::ClassifierBackward => self.classifier_backward(),
            HostOp::ClassifierWeightGrad => self.classifier_weight_grad(),
            HostOp::FinalNormBackward => self.final_norm_backward(),
            HostOp::GateBackward => self.gate_backward(layer)?,
            // Operands are shared with the work beside the engine, and nothing overwrites them.
            HostOp::FfnOperands | HostOp::AttentionOperands => {}
            HostOp::FfnWeightGrads => self.ffn_weight_grads(layer)?,
            HostOp::FfnNormBackward => self.ffn_norm_backward(layer)?,
            HostOp::SumHeads => self.sum_heads(layer)?,
            HostOp::RopeBackward => self.rope_backward(layer)?,
            HostOp::AttentionWeightGrads => self.attention_weight_grads(layer)?,
            HostOp::AttentionNormBackward => self.attention_norm_backward(layer)?,
            HostOp::EmbeddingBackward => self.embedding_backward(),
            HostOp::WriteStream
            | HostOp::ReadStream
            | HostOp::WriteStreamGrad
            | HostOp::ReadStreamGrad => {
                return Err(self.misplaced("the stream is kept in surfaces; choose ten-kernel"));
            }
            HostOp::Update => {
                let reason = "an update is a step of a micro-batch; it belongs to none";
                return Err(self.misplaced(reason));
            }
        }
        Ok(())
    }

    fn misplaced(&self, reason: &str) -> Error {
        Error::Plan { plan: self.machine.plan.name.to_owned(), reason: reason.to_owned() }
    }

    /// Fills a program's surfaces, runs it, and reads its outputs.
    fn dispatch(&mut self, place: usize, layer: usize) -> Result<()> {
        let Machine { programs, engine, .. } = self.machine;
        let program = &programs[place];
        let start = Instant::now();
        for port in &program.inputs {
            self.fill(program, port, layer)?;
        }
        let filled = Instant::now();
        program.evaluate(layer, engine)?;
        let run = Instant::now();
        for port in &program.outputs {
            self.read(program, port, layer)?;
        }
        let times = &mut self.state.times;
        times.engine_s += (run - filled).as_secs_f64();
        times.surfaces_s += (filled - start + run.elapsed()).as_secs_f64();
        Ok(())
    }

    /// Writes an input's activations; weights are there since they were staged.
    fn fill(&mut self, program: &Program, port: &Port, layer: usize) -> Result<()> {
        let Machine { engine, programs, passing, .. } = self.machine;
        let failed = |error| program.failed("fill a surface of", layer, engine, error);
        let mut bytes = port.surface(layer).write().map_err(failed)?;
        let surface = program::halves_mut(&mut bytes).map_err(failed)?;
        for (place, content) in &port.blocks {
            let Content::Activation(activation) = *content else { continue };
            self.state.beyond += match passing.get(&activation) {
                Some(&(from, output, source)) => {
                    let from = programs[from].outputs[output].surface(layer);
                    let bytes = from.read().map_err(failed)?;
                    let from = program::halves(&bytes).map_err(failed)?;
                    convert::copy(surface, *place, from, source)
                }
                None => {
                    let values = self.get(layer, activation)?;
                    match activation.is_of_stream() {
                        true => convert::write_turned(surface, *place, values),
                        false => convert::write(surface, *place, values),
                    }
                }
            };
        }
        Ok(())
    }

    /// Reads an output's activations, but for those that a program passes to another, and the norm,
    /// which the engine only returns as it was given.
    fn read(&mut self, program: &Program, port: &Port, layer: usize) -> Result<()> {
        let engine = self.machine.engine;
        let failed = |error| program.failed("read a surface of", layer, engine, error);
        let bytes = port.surface(layer).read().map_err(failed)?;
        let surface = program::halves(&bytes).map_err(failed)?;
        for (place, content) in &port.blocks {
            let Content::Activation(activation) = *content else { continue };
            if activation.passes_through() || activation == Activation::AttentionNorm {
                continue;
            }
            let mut values = self.state.tensors.room(place.rows * place.columns);
            self.state.beyond += match activation.is_of_stream() {
                true => convert::read_turned(surface, *place, &mut values),
                false => convert::read(surface, *place, &mut values),
            };
            self.put(layer, activation, values);
        }
        Ok(())
    }

    /// Where a layer's tensors are kept: without a backward pass all layers share one place.
    pub(super) fn kept(&self, layer: usize) -> usize {
        if self.purpose == Purpose::Score { 0 } else { layer }
    }

    /// An activation of a layer.
    pub(super) fn get(&self, layer: usize, activation: Activation) -> Result<&Values> {
        self.state.tensors.get(self.kept(layer), activation)
    }

    /// The same, to hold on to while others change.
    pub(super) fn shared(&self, layer: usize, activation: Activation) -> Result<Values> {
        self.get(layer, activation).map(Values::clone)
    }

    pub(super) fn put(&mut self, layer: usize, activation: Activation, values: Vec<f32>) {
        let kept = self.kept(layer);
        self.state.tensors.put(kept, activation, values);
    }

    /// What gradients are multiplied by when they are added up.
    pub(super) fn share(&self) -> f32 {
        match self.purpose {
            Purpose::Train { share, .. } => share,
            Purpose::Score => 0.0,
        }
    }
}
