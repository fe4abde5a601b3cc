//! A program being written, together with what its surfaces hold.
//!
//! Values come as *rows*, the shape of a surface: `[1, C, 1, S]` in the published form, `[1, 1, C, S]`
//! where nothing may be reshaped (C32). Both are the same bytes. Pieces of programs are written once:
//! what differs between the forms is here.

use aneal_mil::{Builder, MatMul, Opset, Type, Value};

use crate::Result;
use crate::ane::form::Form;
use crate::ane::{Activation, Block, Content, KernelSpec, Passage, Surface};

const PLAIN: MatMul = MatMul { transpose_x: false, transpose_y: false };
const TRANSPOSE_X: MatMul = MatMul { transpose_x: true, transpose_y: false };

/// See the module.
pub(super) struct Draft {
    name: &'static str,
    pub(super) b: Builder,
    pub(super) form: Form,
    inputs: Vec<Vec<Block>>,
    outputs: Vec<Vec<Block>>,
}

/// A size or place as programs spell it; sizes of a valid model are far below what overflows.
fn int(n: usize) -> i64 {
    n as i64
}

impl Draft {
    pub(super) fn new(name: &'static str, form: Form) -> Self {
        let b = Builder::new("main", Opset::Ios18);
        Self { name, b, form, inputs: Vec::new(), outputs: Vec::new() }
    }

    /// One input of `rows` rows, in which blocks of so many columns lie side by side; each block as
    /// rows.
    pub(super) fn beside<const N: usize>(
        &mut self,
        rows: usize,
        parts: [(usize, Content); N],
    ) -> Result<[Value; N]> {
        let mut blocks = Vec::new();
        let mut width = 0;
        for (columns, content) in parts {
            blocks.push(Block { rows: 0..rows, columns: width..width + columns, content });
            width += columns;
        }
        let input = self.b.input("packed", Type::fp16(&self.shape(rows, width))?)?;
        self.inputs.push(blocks.clone());
        let mut values = [input; N];
        for (value, block) in values.iter_mut().zip(blocks) {
            let begin = [0, 0, 0, int(block.columns.start)];
            let size = self.shape(rows, block.columns.len()).map(int);
            *value = self.b.slice_by_size(input, &begin, &size)?;
        }
        Ok(values)
    }

    /// Activations under each other, of `heads` heads each, of which each has so many rows; each as
    /// `[1, heads, rows, S]`. One input in the published form, else one for those of like heads.
    pub(super) fn under<const N: usize>(
        &mut self,
        heads: usize,
        columns: usize,
        parts: [(usize, Activation); N],
    ) -> Result<[Value; N]> {
        let mut groups: Vec<Vec<(usize, Activation)>> = Vec::new();
        for part in parts {
            match groups.last_mut() {
                Some(group) if self.form.reshapes || group[0].0 == part.0 => group.push(part),
                _ => groups.push(vec![part]),
            }
        }
        let mut inputs = Vec::new();
        for group in &groups {
            let mut blocks = Vec::new();
            let mut height = 0;
            for (rows, activation) in group {
                let end = height + heads * rows;
                let content = Content::Activation(*activation);
                blocks.push(Block { rows: height..end, columns: 0..columns, content });
                height = end;
            }
            let shape = match self.form.reshapes {
                true => self.shape(height, columns),
                false => [1, heads * group.len(), group[0].0, columns],
            };
            let label = if groups.len() == 1 { "packed" } else { "stacked" };
            inputs.push(self.b.input(label, Type::fp16(&shape)?)?);
            self.inputs.push(blocks);
        }
        let mut values = Vec::new();
        for (input, group) in inputs.into_iter().zip(groups) {
            let mut at = 0;
            for (rows, _) in group {
                let taken = if self.form.reshapes { heads * rows } else { heads };
                let [_, _, high, wide] = [0, 1, 2, 3].map(|axis| int(input.shape().dim(axis)));
                let size = [1, int(taken), high, wide];
                let part = self.b.slice_by_size(input, &[0, int(at), 0, 0], &size)?;
                values.push(self.reshape(part, [1, heads, rows, columns])?);
                at += taken;
            }
        }
        // As many values as parts: each part is in one group.
        Ok(std::array::from_fn(|place| values[place]))
    }

    /// Returns activations: joined along the rows, or each by itself.
    pub(super) fn returns(&mut self, parts: &[(Value, Activation)]) -> Result<()> {
        let mut rows = Vec::new();
        for (value, activation) in parts {
            let columns = value.shape().width();
            let height = value.shape().elements() / columns;
            let value = match self.form.reshapes {
                true => self.reshape(*value, self.shape(height, columns))?,
                false => *value,
            };
            rows.push((value, height, columns, *activation));
        }
        let content = Content::Activation;
        if self.form.joins && rows.len() > 1 {
            let mut blocks = Vec::new();
            let mut start = 0;
            for (_, height, columns, activation) in &rows {
                let (rows, columns) = (start..start + height, 0..*columns);
                start = rows.end;
                blocks.push(Block { rows, columns, content: content(*activation) });
            }
            let values: Vec<Value> = rows.into_iter().map(|(value, ..)| value).collect();
            let joined = self.b.concat(&values, 1, false)?;
            self.b.output("joined", joined)?;
            self.outputs.push(blocks);
            return Ok(());
        }
        for (value, height, columns, activation) in rows {
            self.b.output("part", value)?;
            let content = content(activation);
            self.outputs.push(vec![Block { rows: 0..height, columns: 0..columns, content }]);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<KernelSpec> {
        let function = self.b.finish()?;
        let surfaces = |ids: Vec<_>, blocks: Vec<Vec<Block>>| {
            let of = |(id, blocks)| Surface::of(&function, id, blocks, Passage::Converted);
            ids.into_iter().zip(blocks).map(of).collect()
        };
        let inputs = surfaces(function.input_ids().collect(), self.inputs);
        let outputs = surfaces(function.outputs.clone(), self.outputs);
        Ok(KernelSpec { name: self.name, function, inputs, outputs })
    }

    /// The shape of rows.
    fn shape(&self, rows: usize, columns: usize) -> [usize; 4] {
        if self.form.reshapes { [1, rows, 1, columns] } else { [1, 1, rows, columns] }
    }

    /// The same elements in another shape; nothing where it is that already.
    pub(super) fn reshape(&mut self, x: Value, shape: [usize; 4]) -> Result<Value> {
        if x.shape().dims() == shape {
            return Ok(x);
        }
        Ok(self.b.reshape(x, &shape.map(int))?)
    }

    /// Rows as a matrix `[1, 1, C, S]`.
    fn matrix(&mut self, x: Value) -> Result<Value> {
        let columns = x.shape().width();
        self.reshape(x, [1, 1, x.shape().elements() / columns, columns])
    }

    /// Rows `[C, S]` as products of the form take them: turned to `[1, 1, S, C]` in the published
    /// form.
    pub(super) fn operand(&mut self, x: Value) -> Result<Value> {
        let x = self.matrix(x)?;
        match self.form.reshapes {
            true => Ok(self.b.transpose(x, &[0, 1, 3, 2])?),
            false => Ok(x),
        }
    }

    /// Rows `[out, S]`: an operand of `[in, S]` by rows of weights `[in, out]`.
    pub(super) fn product(&mut self, operand: Value, weight: Value) -> Result<Value> {
        let weight = self.matrix(weight)?;
        if !self.form.reshapes {
            return Ok(self.b.matmul(weight, operand, TRANSPOSE_X)?);
        }
        let y = self.b.matmul(operand, weight, PLAIN)?;
        let y = self.b.transpose(y, &[0, 1, 3, 2])?;
        let (rows, columns) = (y.shape().dim(2), y.shape().dim(3));
        self.reshape(y, [1, rows, 1, columns])
    }

    /// As [`Draft::product`], by rows of weights `[out, in]`.
    pub(super) fn product_of_stored(&mut self, operand: Value, weight: Value) -> Result<Value> {
        if !self.form.reshapes {
            return Ok(self.b.matmul(weight, operand, PLAIN)?);
        }
        let weight = self.matrix(weight)?;
        let weight = self.b.transpose(weight, &[0, 1, 3, 2])?;
        self.product(operand, weight)
    }
}
