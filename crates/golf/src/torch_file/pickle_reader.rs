//! A pickle machine for what weights need, and nothing more.
//!
//! Objects live in one list and refer to each other by number, as Python's do by address, so that
//! an object that the pickle names many times costs once. The finished object is then unfolded into
//! a [`Value`] under limits on depth and size.

use std::collections::HashMap;

use super::Value;
use crate::{Error, Result};

mod rebuild;
mod unfold;

use rebuild::{Function, Storage, StridedTensor};

/// Longest pickle that is run. Ten thousand tensors take about 2 MB.
const MAX_PROGRAM: usize = 4 << 20;
/// Torch writes 2; 3 differs only in opcodes that are refused by themselves.
const PROTOCOLS: std::ops::RangeInclusive<u8> = 2..=3;

/// Finds the bytes of a storage by its key.
pub(super) type Storages<'s, 'a> = &'s dyn Fn(&str) -> Option<&'a [u8]>;

/// Runs `program`; its tensors may take `tensor_bytes` together.
///
/// # Errors
///
/// [`Error::TorchPickle`] with the place and the reason.
pub(super) fn unpickle<'a>(
    program: &'a [u8],
    storages: Storages<'_, 'a>,
    tensor_bytes: usize,
) -> Result<Value> {
    let mut machine = Machine {
        program,
        at: 0,
        storages,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    machine
        .run()
        .and_then(|root| unfold::unfold(&machine.nodes, root, program.len(), tensor_bytes))
        .map_err(|reason| Error::TorchPickle { at: machine.at, reason })
}

/// Why the machine stopped.
type Step<T> = std::result::Result<T, String>;
/// An object, by its place in the list of all.
type Id = u32;

/// An object.
enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'a str),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Function(Function),
    Storage(Box<Storage<'a>>),
    Tensor(Box<StridedTensor<'a>>),
}

struct Machine<'s, 'a> {
    program: &'a [u8],
    at: usize,
    storages: Storages<'s, 'a>,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack where `MARK` was seen.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'_, 'a> {
    /// Runs to `STOP` and returns what is left on the stack.
    fn run(&mut self) -> Step<Id> {
        let len = self.program.len();
        if len > MAX_PROGRAM {
            return Err(format!("the pickle is {len} bytes, expected at most {MAX_PROGRAM}"));
        }
        loop {
            let opcode = self.u8()?;
            if opcode == b'.' {
                break;
            }
            self.step(opcode)?;
        }
        match (self.pop(), self.stack.is_empty() && self.marks.is_empty()) {
            (Ok(root), true) if self.at == len => Ok(root),
            _ => Err("the pickle stops with work left; it is damaged".into()),
        }
    }

    fn step(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            0x80 => {
                let protocol = self.u8()?;
                if !PROTOCOLS.contains(&protocol) {
                    return Err(format!("pickle protocol {protocol}, expected 2 as torch writes"));
                }
            }
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => {
                let value = self.u8()?.into();
                self.push(Node::Int(value));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?).into();
                self.push(Node::Int(value));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?).into();
                self.push(Node::Int(value));
            }
            0x8a => self.long()?,
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(value));
            }
            b'X' => {
                let len = u32::from_le_bytes(self.array()?) as usize;
                let text = std::str::from_utf8(self.take(len)?);
                self.push(Node::Str(text.map_err(|_| "a string is not UTF-8".to_owned())?));
            }
            b']' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'(' => self.marks.push(self.stack.len()),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Node::Tuple(items));
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Node::Tuple(items));
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.extend_list(items)?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.extend_dict(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)?;
            }
            b'q' => {
                let number = self.u8()?.into();
                self.put(number)?;
            }
            b'r' => {
                let number = u32::from_le_bytes(self.array()?);
                self.put(number)?;
            }
            b'h' => {
                let number = self.u8()?.into();
                self.get(number)?;
            }
            b'j' => {
                let number = u32::from_le_bytes(self.array()?);
                self.get(number)?;
            }
            b'c' => self.global()?,
            b'Q' => self.persistent_id()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            _ => return Err(format!("opcode {opcode:#04x} is not one that weights need")),
        }
        Ok(())
    }

    /// An integer of up to 64 bits, as little-endian two's complement of any length.
    fn long(&mut self) -> Step<()> {
        let len = usize::from(self.u8()?);
        let bytes = self.take(len)?;
        if len > 8 {
            return Err(format!("an integer of {len} bytes, expected at most 8"));
        }
        let sign = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        wide[..len].copy_from_slice(bytes);
        self.push(Node::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn extend_list(&mut self, new: Vec<Id>) -> Step<()> {
        match self.top()? {
            Node::List(items) => items.extend(new),
            _ => return Err("items are appended to what is not a list".into()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, new: &[Id]) -> Step<()> {
        let (pairs, []) = new.as_chunks::<2>() else {
            return Err("a dictionary gets a key without a value".into());
        };
        match self.top()? {
            Node::Dict(items) => items.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err("items are set in what is not a dictionary".into()),
        }
        Ok(())
    }

    /// Sets attributes. Only `OrderedDict`s carry any in torch files (`_metadata`), and these do
    /// not matter for weights.
    fn build(&mut self) -> Step<()> {
        self.pop()?;
        match self.top()? {
            Node::Dict(_) => Ok(()),
            _ => Err("attributes are set on what is not a dictionary".into()),
        }
    }

    fn put(&mut self, number: u32) -> Step<()> {
        let &id = self.stack.last().ok_or("the stack is empty where it is remembered")?;
        self.memo.insert(number, id);
        Ok(())
    }

    fn get(&mut self, number: u32) -> Step<()> {
        let &id = self.memo.get(&number).ok_or("something is recalled that was not remembered")?;
        self.stack.push(id);
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) {
        // Fits: there is at most one object for each byte of the program.
        self.stack.push(self.nodes.len() as Id);
        self.nodes.push(node);
    }

    fn top(&mut self) -> Step<&mut Node<'a>> {
        let floor = self.floor();
        let id = self.stack[floor..].last().ok_or("the stack is empty")?;
        Ok(&mut self.nodes[*id as usize])
    }

    fn pop(&mut self) -> Step<Id> {
        if self.stack.len() == self.floor() {
            return Err("the stack is empty".into());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn pop_many(&mut self, count: usize) -> Step<Vec<Id>> {
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= self.floor());
        Ok(self.stack.split_off(start.ok_or("the stack is empty")?))
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("items end that did not begin")?;
        Ok(self.stack.split_off(mark))
    }

    /// Nothing below the last mark may be taken before the mark is.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn u8(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, len: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(len);
        let bytes = end.and_then(|end| self.program.get(self.at..end));
        let bytes = bytes.ok_or("the pickle is cut short")?;
        self.at += len;
        Ok(bytes)
    }

    /// The text up to the next line end, which is passed.
    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.program[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or("the pickle is cut short")?;
        self.at += len + 1;
        std::str::from_utf8(&rest[..len]).map_err(|_| "a name is not UTF-8".into())
    }
}

#[cfg(test)]
mod tests;
