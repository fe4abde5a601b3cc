//! A program being written, together with what its surfaces hold. Values are matrices
//! `[1, 1, rows, columns]` unless said otherwise; those of activations have a token a column.

use aneal_mil::{Builder, MatMul, Opset, Type, Value};

use crate::Result;
use crate::ane::form::Form;
use crate::ane::sizes::Sizes;
use crate::ane::{Activation, Block, Content, DwOn, KernelSpec, Passage, Surface, WeightRef};

pub(super) const PLAIN: MatMul = MatMul { transpose_x: false, transpose_y: false };
pub(super) const TRANSPOSE_X: MatMul = MatMul { transpose_x: true, transpose_y: false };
pub(super) const TRANSPOSE_Y: MatMul = MatMul { transpose_x: false, transpose_y: true };

/// See the module.
pub(super) struct Draft {
    name: &'static str,
    pub(super) b: Builder,
    pub(super) n: Sizes,
    pub(super) form: Form,
    inputs: Vec<(Vec<Block>, Passage)>,
    outputs: Vec<(Vec<Block>, Passage)>,
}

/// A weight of the layer as stored, `[out, in]`, or a gain as one row.
fn stored(name: &'static str) -> WeightRef {
    WeightRef { name, of_layer: true, transposed: false }
}

/// What fills a surface.
fn whole(rows: usize, columns: usize, content: Content) -> Vec<Block> {
    vec![Block { rows: 0..rows, columns: 0..columns, content }]
}

impl Draft {
    pub(super) fn new(name: &'static str, n: Sizes, form: Form) -> Self {
        let b = Builder::new("main", Opset::Ios18);
        Self { name, b, n, form, inputs: Vec::new(), outputs: Vec::new() }
    }

    /// An activation that another program returned, `[1, rows, 1, T]`. Inputs come before all else.
    pub(super) fn linked(
        &mut self,
        label: &str,
        rows: usize,
        activation: Activation,
    ) -> Result<Value> {
        let t = self.n.tokens();
        self.inputs.push((whole(rows, t, Content::Activation(activation)), Passage::Linked));
        Ok(self.b.input(label, Type::fp16(&[1, rows, 1, t])?)?)
    }

    /// The residual stream, or its gradient, `[1, D, 1, T]`.
    pub(super) fn stream(&mut self, label: &str, activation: Activation) -> Result<Value> {
        self.linked(label, self.n.d, activation)
    }

    /// A weight, `[out, in]`.
    pub(super) fn weight(&mut self, name: &'static str, out: usize, inner: usize) -> Result<Value> {
        self.inputs.push((whole(out, inner, Content::Weight(stored(name))), Passage::Converted));
        Ok(self.b.input("weight", Type::fp16(&[1, 1, out, inner])?)?)
    }

    /// A gain, `[1, D]`.
    pub(super) fn gain(&mut self, name: &'static str) -> Result<Value> {
        self.weight(name, 1, self.n.d)
    }

    /// Returns an activation `[rows, T]` to another program.
    pub(super) fn returns_linked(&mut self, value: Value, activation: Activation) -> Result<()> {
        let (rows, t) = (value.shape().dim(2), self.n.tokens());
        let value = self.reshape(value, [1, rows, 1, t])?;
        self.b.output("linked", value)?;
        self.outputs.push((whole(rows, t, Content::Activation(activation)), Passage::Linked));
        Ok(())
    }

    /// Returns the gradient of a weight, or of a gain.
    pub(super) fn returns_gradient(&mut self, value: Value, name: &'static str) -> Result<()> {
        self.returns_beside(value, Content::Gradient(stored(name)))
    }

    /// Returns the gradients of weights, each the product of the gradient `[out, T]` of what it makes
    /// and of what it is multiplied by, `[in, T]`; or what is to be multiplied.
    pub(super) fn returns_gradients(
        &mut self,
        dw_on: DwOn,
        products: &[(&'static str, Value, Value)],
        operands: &[(Value, Activation)],
    ) -> Result<()> {
        match dw_on {
            DwOn::Engine => products.iter().try_for_each(|(name, dy, x)| {
                let dw = self.b.matmul(*dy, *x, TRANSPOSE_Y)?;
                self.returns_gradient(dw, name)
            }),
            DwOn::Worker => operands.iter().try_for_each(|(value, activation)| {
                self.returns_beside(*value, Content::Activation(*activation))
            }),
        }
    }

    fn returns_beside(&mut self, value: Value, content: Content) -> Result<()> {
        let (rows, columns) = (value.shape().dim(2), value.shape().dim(3));
        let label = if matches!(content, Content::Gradient(_)) { "gradient" } else { "operand" };
        self.b.output(label, value)?;
        self.outputs.push((whole(rows, columns, content), Passage::Beside));
        Ok(())
    }

    pub(super) fn finish(self) -> Result<KernelSpec> {
        let function = self.b.finish()?;
        let surfaces = |ids: Vec<_>, held: Vec<(Vec<Block>, Passage)>| {
            let of = |(id, (blocks, passage))| Surface::of(&function, id, blocks, passage);
            ids.into_iter().zip(held).map(of).collect()
        };
        let inputs = surfaces(function.input_ids().collect(), self.inputs);
        let outputs = surfaces(function.outputs.clone(), self.outputs);
        Ok(KernelSpec { name: self.name, function, inputs, outputs })
    }

    /// The same elements in another shape; nothing where it is that already.
    pub(super) fn reshape(&mut self, x: Value, shape: [usize; 4]) -> Result<Value> {
        if x.shape().dims() == shape {
            return Ok(x);
        }
        // Sizes of a valid model are far below what overflows.
        Ok(self.b.reshape(x, &shape.map(|n| n as i64))?)
    }

    /// What [`Draft::linked`] gives as a matrix `[rows, T]`.
    pub(super) fn matrix(&mut self, linked: Value) -> Result<Value> {
        self.reshape(linked, [1, 1, linked.shape().dim(1), self.n.tokens()])
    }

    /// A constant `[rows, columns]` that is combined with such matrices of all heads: constants are
    /// repeated by the compiler, also where channels are not (C29).
    pub(super) fn table(
        &mut self,
        name: &str,
        [rows, columns]: [usize; 2],
        values: &[f32],
    ) -> Result<Value> {
        let table = self.b.floats(Type::fp16(&[1, 1, rows, columns])?, values)?;
        Ok(self.b.name(table, name)?)
    }

    /// `[1, n]` of ones, by which products sum.
    pub(super) fn ones(&mut self, n: usize) -> Result<Value> {
        Ok(self.b.floats(Type::fp16(&[1, 1, 1, n])?, &vec![1.0; n])?)
    }

    /// A branch `[D, T]` times the residual scale, added to the stream.
    pub(super) fn residual(&mut self, stream: Value, branch: Value) -> Result<Value> {
        let branch = self.b.mul(branch, self.n.residual_scale)?;
        Ok(self.b.add(stream, branch)?)
    }
}
