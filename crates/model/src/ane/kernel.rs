//! One program of a plan, and what its surfaces hold.

use std::ops::Range;

use aneal_ane::clock::Work;
use aneal_mil::blob::Weights;
use aneal_mil::{Function, Program, ValueId};

use super::Activation;
use crate::Result;

/// A program and its surfaces.
#[derive(Clone, Debug)]
pub struct KernelSpec {
    /// Unique in a plan, and a name that files can have: `sdpaFwd`.
    pub name: &'static str,
    /// The program's only function, constants in memory.
    pub function: Function,
    /// One a function's input, in the order written, which is also the engine's (C24).
    pub inputs: Vec<Surface>,
    /// One a function's output, likewise.
    pub outputs: Vec<Surface>,
}

/// A matrix of fp16 at the engine's interface. In memory each row starts at a multiple of 64 bytes
/// (section 2.2); whether the program calls the rows `[1, rows, 1, columns]` or otherwise does not
/// change the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surface {
    /// The function's name for it.
    pub name: String,
    /// Channels.
    pub rows: usize,
    /// Elements of a row.
    pub columns: usize,
    /// What is where. Blocks do not overlap, and cover everything.
    pub blocks: Vec<Block>,
    /// How activations and gradients get there, or away from there.
    pub passage: Passage,
}

/// How activations and gradients get into an input, or out of an output. Weights are staged anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The CPU converts them before or behind each dispatch; all layers share the surface.
    Converted,
    /// The surface is the one in which other programs have the same activation of the same layer
    /// (see [`Activation::across`] for neighbours): one program's output is the other's input, and the
    /// CPU does nothing.
    Linked,
    /// Only the work beside the engine reads this output, so each layer has its own.
    Beside,
}

/// A part of a surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which rows.
    pub rows: Range<usize>,
    /// Which columns.
    pub columns: Range<usize>,
    /// What they hold.
    pub content: Content,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A row a channel, a column a token; of several sequences one behind the other.
    Activation(Activation),
    /// A weight, the same until the next update. Gains are one row.
    Weight(WeightRef),
    /// The gradient of a weight over the tokens of the dispatch, rows as in the weight itself.
    Gradient(WeightRef),
}

/// A weight of a layer, or of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightRef {
    /// As in [`Layout`](crate::Layout), without the layer: `attention.wq.weight`.
    pub name: &'static str,
    /// Whether each layer has its own.
    pub of_layer: bool,
    /// Whether rows are the weight's inputs, `[in, out]`; else they are as stored, `[out, in]`.
    pub transposed: bool,
}

impl WeightRef {
    /// Its name in [`Layout`](crate::Layout). `layer` does not matter for a weight of the model.
    #[must_use]
    pub fn tensor(&self, layer: usize) -> String {
        match self.of_layer {
            true => format!("layers.{layer}.{}", self.name),
            false => self.name.to_owned(),
        }
    }
}

impl Surface {
    /// Bytes in memory, rows padded.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows * (2 * self.columns).next_multiple_of(64)
    }

    /// Every activation, with its number of elements.
    pub fn activations(&self) -> impl Iterator<Item = (Activation, usize)> + '_ {
        self.blocks.iter().filter_map(|block| match block.content {
            Content::Activation(activation) => {
                Some((activation, block.rows.len() * block.columns.len()))
            }
            Content::Weight(_) | Content::Gradient(_) => None,
        })
    }

    /// Every weight.
    pub fn weights(&self) -> impl Iterator<Item = WeightRef> + '_ {
        self.blocks.iter().filter_map(|block| match block.content {
            Content::Weight(weight) => Some(weight),
            Content::Activation(_) | Content::Gradient(_) => None,
        })
    }

    /// The surface of a function's input or output.
    pub(super) fn of(
        function: &Function,
        id: ValueId,
        blocks: Vec<Block>,
        passage: Passage,
    ) -> Self {
        let value = function.value(id);
        let columns = value.ty.shape.width();
        let rows = value.ty.shape.elements() / columns;
        Self { name: value.name.clone(), rows, columns, blocks, passage }
    }

    /// How many there are of it in a plan for so many layers.
    #[must_use]
    pub fn copies(&self, layers: usize) -> usize {
        match self.passage {
            Passage::Converted if self.weights().next().is_none() => 1,
            Passage::Converted | Passage::Linked | Passage::Beside => layers,
        }
    }
}

impl KernelSpec {
    /// Constants of fewer elements stay in the text of [`KernelSpec::program`].
    const SMALL: usize = 32;

    /// The program with its tables in a weight file of its own, `@model_path/weights/NAME.bin`, as
    /// the engine's compiler takes them (section 3.2).
    ///
    /// # Errors
    /// [`Error::Mil`](crate::Error::Mil), which constants in memory do not cause.
    pub fn program(&self) -> Result<(Program, Weights)> {
        let mut program = Program::new(vec![self.function.clone()]);
        let path = format!("@model_path/weights/{}.bin", self.name);
        let weights = Weights::move_out(&mut program, &path, Self::SMALL)?;
        Ok((program, weights))
    }

    /// What a dispatch asks of the engine.
    #[must_use]
    pub fn work(&self) -> Work {
        Work::of(&self.function)
    }

    /// Elements that the CPU writes before a dispatch; weights are there already.
    #[must_use]
    pub fn written(&self) -> usize {
        let inputs = passing(&self.inputs, Passage::Converted);
        inputs.flat_map(Surface::activations).map(|(_, elements)| elements).sum()
    }

    /// Elements that the CPU reads after a dispatch. What only passes through is charged where it is
    /// written.
    #[must_use]
    pub fn read(&self) -> usize {
        let outputs = passing(&self.outputs, Passage::Converted).flat_map(Surface::activations);
        outputs.filter(|(a, _)| !a.passes_through()).map(|(_, elements)| elements).sum()
    }

    /// Elements that the CPU reads beside the engine.
    #[must_use]
    pub fn read_beside(&self) -> usize {
        let outputs = passing(&self.outputs, Passage::Beside);
        outputs.map(|surface| surface.rows * surface.columns).sum()
    }
}

fn passing(surfaces: &[Surface], passage: Passage) -> impl Iterator<Item = &Surface> {
    surfaces.iter().filter(move |surface| surface.passage == passage)
}
