//! Turns the machine's objects into a [`Value`], within limits.

use super::rebuild::StridedTensor;
use super::{Id, Node, Step};
use crate::torch_file::{MAX_DEPTH, TorchTensor, Value};

/// Unfolds object `root`. Objects other than tensors may take 16 times the program's size: a name
/// that is used for several things is written once and recalled in two bytes. Tensors may take
/// `tensor_bytes`: two of them may share a storage.
pub(super) fn unfold(
    nodes: &[Node<'_>],
    root: Id,
    program: usize,
    tensor_bytes: usize,
) -> Step<Value> {
    let mut unfolder = Unfolder { nodes, plain: program.saturating_mul(16), tensor_bytes };
    unfolder.value(root, 0)
}

struct Unfolder<'n, 'a> {
    nodes: &'n [Node<'a>],
    /// What is left of each allowance.
    plain: usize,
    tensor_bytes: usize,
}

impl Unfolder<'_, '_> {
    fn value(&mut self, id: Id, depth: usize) -> Step<Value> {
        if depth > MAX_DEPTH {
            return Err(format!("objects are nested more than {MAX_DEPTH} deep"));
        }
        self.spend(1)?;
        Ok(match &self.nodes[id as usize] {
            Node::None => Value::None,
            Node::Bool(value) => Value::Bool(*value),
            Node::Int(value) => Value::Int(*value),
            Node::Float(value) => Value::Float(*value),
            Node::Str(_) => Value::Str(self.str(id)?),
            Node::List(items) => Value::List(self.values(items, depth)?),
            Node::Tuple(items) => Value::Tuple(self.values(items, depth)?),
            Node::Dict(items) => Value::Dict(self.dict(items, depth)?),
            Node::Tensor(tensor) => Value::Tensor(self.tensor(tensor)?),
            Node::Function(_) => return Err("a function stands where a value should".into()),
            Node::Storage(_) => return Err("a bare storage stands where a value should".into()),
        })
    }

    fn values(&mut self, items: &[Id], depth: usize) -> Step<Vec<Value>> {
        items.iter().map(|&item| self.value(item, depth + 1)).collect()
    }

    fn dict(&mut self, items: &[(Id, Id)], depth: usize) -> Step<Vec<(String, Value)>> {
        let mut names = std::collections::HashSet::new();
        let mut dict = Vec::new();
        for &(key, value) in items {
            let key = self.str(key)?;
            if !names.insert(key.clone()) {
                return Err(format!("key `{key}` is twice in one dictionary"));
            }
            dict.push((key, self.value(value, depth + 1)?));
        }
        Ok(dict)
    }

    fn str(&mut self, id: Id) -> Step<String> {
        let Node::Str(text) = self.nodes[id as usize] else {
            return Err("a dictionary key is not a string".into());
        };
        self.spend(text.len())?;
        Ok(text.to_owned())
    }

    fn tensor(&mut self, tensor: &StridedTensor<'_>) -> Step<TorchTensor> {
        let bytes = tensor.elements().and_then(|count| count.checked_mul(tensor.dtype.size()));
        let left = bytes.and_then(|bytes| self.tensor_bytes.checked_sub(bytes));
        self.tensor_bytes = left.ok_or("tensors unfold to more than 4 times the file; refused")?;
        self.spend(tensor.shape.len())?;
        Ok(tensor.contiguous())
    }

    fn spend(&mut self, amount: usize) -> Step<()> {
        let left = self.plain.checked_sub(amount);
        self.plain = left.ok_or("objects unfold to more than 16 times the pickle; refused")?;
        Ok(())
    }
}

impl StridedTensor<'_> {
    /// The elements in row-major order. The caller has bounded their number.
    fn contiguous(&self) -> TorchTensor {
        let size = self.dtype.size();
        let shape = self.shape.clone();
        let mut bytes = Vec::new();
        if !shape.contains(&0) {
            self.gather(&shape, self.offset, size, &mut bytes);
        }
        TorchTensor { dtype: self.dtype, shape, bytes }
    }

    /// Appends the part of the tensor that the last `shape.len()` dimensions span from `offset`.
    fn gather(&self, shape: &[usize], offset: usize, size: usize, out: &mut Vec<u8>) {
        let strides = &self.strides[self.strides.len() - shape.len()..];
        let (Some((&count, shape)), Some((&stride, rest))) =
            (shape.split_first(), strides.split_first())
        else {
            out.extend(&self.bytes[offset * size..(offset + 1) * size]);
            return;
        };
        // The usual case, and the bulk of every file: what is left lies in one piece.
        let mut piece = 1;
        let dense = shape.iter().zip(rest).rev().all(|(&count, &stride)| {
            let fits = count == 1 || stride == piece;
            piece *= count;
            fits
        });
        if dense && (count == 1 || stride == piece) {
            out.extend(&self.bytes[offset * size..(offset + count * piece) * size]);
            return;
        }
        for i in 0..count {
            self.gather(shape, offset + i * stride, size, out);
        }
    }
}
