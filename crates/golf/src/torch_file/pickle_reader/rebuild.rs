//! The functions that a torch pickle may call, and the storages and tensors they make.

use super::{Id, Machine, Node, Step};
use crate::torch_file::MAX_DEPTH;
use crate::torch_file::tensor::Dtype;

/// A function or class that the pickle may name. There are no others.
#[derive(Clone, Copy)]
pub(super) enum Function {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `torch.FloatStorage` and its like, which are only named, never called.
    StorageClass(Dtype),
}

/// Bytes of a storage entry.
pub(super) struct Storage<'a> {
    pub(super) dtype: Dtype,
    pub(super) bytes: &'a [u8],
}

/// A view of a storage. Offset and strides count elements; all of it lies inside the storage.
pub(super) struct StridedTensor<'a> {
    pub(super) dtype: Dtype,
    pub(super) bytes: &'a [u8],
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl<'a> Machine<'_, 'a> {
    /// `GLOBAL`: pushes the function named.
    pub(super) fn global(&mut self) -> Step<()> {
        let (module, name) = (self.line()?, self.line()?);
        let function = match (module, name) {
            ("collections", "OrderedDict") => Some(Function::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Function::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Function::RebuildParameter),
            ("torch", class) => Dtype::from_storage(class).map(Function::StorageClass),
            _ => None,
        };
        let function = function.ok_or_else(|| {
            format!("the file asks for `{module}.{name}`, which weights do not need; refused")
        })?;
        self.push(Node::Function(function));
        Ok(())
    }

    /// `REDUCE`: calls a function.
    pub(super) fn reduce(&mut self) -> Step<()> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let Node::Function(function) = self.nodes[function as usize] else {
            return Err("something is called that is not a function".into());
        };
        let arguments = self.tuple(arguments)?.to_vec();
        match (function, &arguments[..]) {
            (Function::OrderedDict, []) => self.push(Node::Dict(Vec::new())),
            // The last argument, metadata, is there only sometimes.
            (
                Function::RebuildTensor,
                [storage, offset, shape, strides, _grad, _hooks]
                | [storage, offset, shape, strides, _grad, _hooks, _],
            ) => {
                let tensor = self.tensor(*storage, *offset, *shape, *strides)?;
                self.push(Node::Tensor(Box::new(tensor)));
            }
            (Function::RebuildParameter, [tensor, _grad, _hooks]) => {
                if !matches!(self.nodes[*tensor as usize], Node::Tensor(_)) {
                    return Err("a parameter is made of what is not a tensor".into());
                }
                self.stack.push(*tensor);
            }
            (Function::StorageClass(_), _) => {
                return Err("a storage class is called, expected to be only named".into());
            }
            (_, arguments) => {
                return Err(format!("a function is called with {} arguments", arguments.len()));
            }
        }
        Ok(())
    }

    /// `BINPERSID`: `('storage', class, key, location, elements)` becomes a storage.
    pub(super) fn persistent_id(&mut self) -> Step<()> {
        let id = self.pop()?;
        let parts: Vec<&Node<'a>> =
            self.tuple(id)?.iter().map(|&part| &self.nodes[part as usize]).collect();
        let [
            Node::Str("storage"),
            Node::Function(Function::StorageClass(dtype)),
            Node::Str(key),
            Node::Str(_location),
            Node::Int(elements),
        ] = parts[..]
        else {
            return Err("a storage is not named as torch names them".into());
        };
        let dtype = *dtype;
        let bytes = (self.storages)(key).ok_or_else(|| format!("storage data/{key} is absent"))?;
        let expected =
            usize::try_from(*elements).ok().and_then(|count| count.checked_mul(dtype.size()));
        if expected != Some(bytes.len()) {
            let (name, found) = (dtype.name(), bytes.len());
            return Err(format!(
                "storage data/{key} is {found} bytes, expected {elements} of {name}"
            ));
        }
        self.push(Node::Storage(Box::new(Storage { dtype, bytes })));
        Ok(())
    }

    fn tensor(&self, storage: Id, offset: Id, shape: Id, strides: Id) -> Step<StridedTensor<'a>> {
        let Node::Storage(storage) = &self.nodes[storage as usize] else {
            return Err("a tensor has no storage".into());
        };
        let Storage { dtype, bytes } = **storage;
        let offset = self.size(offset)?;
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        if shape.len() != strides.len() {
            let (ranks, steps) = (shape.len(), strides.len());
            return Err(format!("a tensor of {ranks} dimensions has {steps} strides"));
        }
        let tensor = StridedTensor { dtype, bytes, offset, shape, strides };
        match tensor.end() {
            Some(end) if end <= bytes.len() / dtype.size() => Ok(tensor),
            _ => Err(format!("a tensor of shape {:?} leaves its storage", tensor.shape)),
        }
    }

    fn tuple(&self, id: Id) -> Step<&[Id]> {
        match &self.nodes[id as usize] {
            Node::Tuple(items) => Ok(items),
            _ => Err("a tuple was expected".into()),
        }
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        let sizes = self.tuple(id)?;
        if sizes.len() > MAX_DEPTH {
            return Err(format!(
                "a tensor of {} dimensions, expected at most {MAX_DEPTH}",
                sizes.len()
            ));
        }
        sizes.iter().map(|&size| self.size(size)).collect()
    }

    fn size(&self, id: Id) -> Step<usize> {
        match self.nodes[id as usize] {
            Node::Int(size) => usize::try_from(size).map_err(|_| format!("a size of {size}")),
            _ => Err("a size is not an integer".into()),
        }
    }
}

impl StridedTensor<'_> {
    /// Elements in the tensor; `None` if that overflows.
    pub(super) fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))
    }

    /// One past the last element of the storage that the tensor touches; `None` on overflow.
    fn end(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let dimensions = self.shape.iter().zip(&self.strides);
        dimensions.into_iter().try_fold(self.offset.checked_add(1)?, |end, (&size, &stride)| {
            end.checked_add((size - 1).checked_mul(stride)?)
        })
    }
}
