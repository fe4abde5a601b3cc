//! Writes the pickle of a torch file, protocol 2, as `torch.save` would.

use std::collections::HashMap;

use super::tensor::{Dtype, TorchTensor};
use super::{MAX_DEPTH, Value};
use crate::{Error, Result};

/// Python's pickler hands items to a dictionary or a list in groups of this size.
const BATCH: usize = 1000;

/// A pickle and the storages it names: storage `k` is `data/<k>` in the zip.
pub(super) struct Pickled<'a> {
    pub(super) program: Vec<u8>,
    pub(super) storages: Vec<&'a [u8]>,
}

/// Pickles `value`. Every tensor gets a storage of its own.
pub(super) fn pickle(value: &Value) -> Result<Pickled<'_>> {
    let mut pickler =
        Pickler { program: vec![0x80, 2], storages: Vec::new(), memo: HashMap::new() };
    pickler.value(value, 0)?;
    pickler.program.push(b'.');
    Ok(Pickled { program: pickler.program, storages: pickler.storages })
}

struct Pickler<'a> {
    program: Vec<u8>,
    storages: Vec<&'a [u8]>,
    /// What was written before and can be referred to: the bytes that make it, its number.
    memo: HashMap<Vec<u8>, u32>,
}

impl<'a> Pickler<'a> {
    fn value(&mut self, value: &'a Value, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            let reason = format!("the value is nested more than {MAX_DEPTH} deep");
            return Err(Error::TorchZip { reason });
        }
        match value {
            Value::None => self.program.push(b'N'),
            Value::Bool(value) => self.program.push(if *value { 0x88 } else { 0x89 }),
            Value::Int(value) => self.int(*value),
            Value::Float(value) => {
                self.program.push(b'G');
                self.program.extend(value.to_be_bytes());
            }
            Value::Str(value) => self.str(value)?,
            Value::List(items) => {
                self.program.push(b']');
                for items in items.chunks(BATCH) {
                    self.program.push(b'(');
                    items.iter().try_for_each(|item| self.value(item, depth + 1))?;
                    self.program.push(b'e');
                }
            }
            Value::Tuple(items) => {
                self.program.push(b'(');
                items.iter().try_for_each(|item| self.value(item, depth + 1))?;
                self.program.push(b't');
            }
            Value::Dict(items) => {
                self.program.push(b'}');
                for items in items.chunks(BATCH) {
                    self.program.push(b'(');
                    for (key, item) in items {
                        self.str(key)?;
                        self.value(item, depth + 1)?;
                    }
                    self.program.push(b'u');
                }
            }
            Value::Tensor(tensor) => self.tensor(tensor)?,
        }
        Ok(())
    }

    /// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`.
    fn tensor(&mut self, tensor: &'a TorchTensor) -> Result<()> {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.program.push(b'(');
        self.storage(tensor.dtype, &tensor.bytes)?;
        self.int(0);
        self.sizes(&tensor.shape);
        self.sizes(&contiguous_strides(&tensor.shape));
        self.program.push(0x89); // no gradient
        self.global("collections", "OrderedDict");
        self.program.extend(b")R"); // no hooks
        self.program.extend(b"tR");
        Ok(())
    }

    /// The persistent id `('storage', torch.<class>, key, 'cpu', elements)`.
    fn storage(&mut self, dtype: Dtype, bytes: &'a [u8]) -> Result<()> {
        self.program.push(b'(');
        self.str("storage")?;
        self.global("torch", dtype.storage());
        let key = self.storages.len().to_string();
        self.str(&key)?;
        self.str("cpu")?;
        self.int((bytes.len() / dtype.size()) as i64);
        self.program.extend(b"tQ");
        self.storages.push(bytes);
        Ok(())
    }

    fn sizes(&mut self, sizes: &[usize]) {
        self.program.push(b'(');
        for &size in sizes {
            self.int(size as i64);
        }
        self.program.push(b't');
    }

    fn int(&mut self, value: i64) {
        if let Ok(value) = u8::try_from(value) {
            self.program.extend([b'K', value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.program.push(b'M');
            self.program.extend(value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.program.push(b'J');
            self.program.extend(value.to_le_bytes());
        } else {
            self.program.extend([0x8a, 8]);
            self.program.extend(value.to_le_bytes());
        }
    }

    fn str(&mut self, value: &str) -> Result<()> {
        let len = u32::try_from(value.len()).map_err(|_| Error::TorchZip {
            reason: "a string is longer than 4 GiB; shorten it".into(),
        })?;
        let code = [b"X", &len.to_le_bytes()[..], value.as_bytes()].concat();
        self.remember(code);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) {
        self.remember(format!("c{module}\n{name}\n").into_bytes());
    }

    /// Writes what `code` makes: itself the first time, a reference from then on.
    fn remember(&mut self, code: Vec<u8>) {
        // Fits: the program would pass 4 GiB long before.
        let next = self.memo.len() as u32;
        if let Some(&number) = self.memo.get(&code) {
            self.memo_op(number, b'h', b'j');
        } else {
            self.program.extend(&code);
            self.memo_op(next, b'q', b'r');
            self.memo.insert(code, next);
        }
    }

    fn memo_op(&mut self, number: u32, short: u8, long: u8) {
        if let Ok(number) = u8::try_from(number) {
            self.program.extend([short, number]);
        } else {
            self.program.push(long);
            self.program.extend(number.to_le_bytes());
        }
    }
}

/// Steps between neighbours along each dimension of a row-major tensor. As in torch, a dimension
/// of size 0 counts as 1.
fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i].max(1);
    }
    strides
}
