//! The subset of `torch.save` and `torch.load` that weights need, so that artifacts open in
//! PyTorch and PyTorch's artifacts open here.
//!
//! A torch file is a zip of stored entries: `data.pkl`, a pickle of the object in which a tensor
//! names its storage, and `data/<key>`, the raw little-endian bytes of each storage. Pickle is a
//! programming language; the reader knows the few instructions and the four functions that
//! dictionaries of tensors use, and refuses everything else by name.

use crate::{Error, Result};

mod pickle_reader;
mod pickle_writer;
mod tensor;
mod zip_reader;
mod zip_writer;

pub use tensor::{Dtype, TorchTensor};

/// Lists and dictionaries that a value may lie inside, and dimensions that a tensor may have; the
/// latter is torch's own limit.
const MAX_DEPTH: usize = 64;

/// What a torch file can hold here.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Str(String),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A `dict` or `OrderedDict` with string keys, in order.
    Dict(Vec<(String, Value)>),
    /// A tensor on the CPU.
    Tensor(TorchTensor),
}

impl Value {
    /// What Python calls the type; for messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Tensor(_) => "tensor",
        }
    }
}

/// The bytes that `torch.load(..., weights_only=True)` reads back as `value`.
///
/// # Errors
///
/// [`Error::TorchZip`] if the file would pass 4 GiB or `value` is nested too deeply to be read
/// back.
pub fn save(value: &Value) -> Result<Vec<u8>> {
    let pickled = pickle_writer::pickle(value)?;
    let keys: Vec<String> = (0..pickled.storages.len()).map(|key| format!("data/{key}")).collect();
    // The order and the names of torch's own writer; data follows the pickle that refers to it.
    let mut entries = vec![
        ("data.pkl", &pickled.program[..]),
        (".format_version", b"1"),
        (".storage_alignment", b"64"),
        ("byteorder", b"little"),
    ];
    entries.extend(keys.iter().map(String::as_str).zip(pickled.storages.iter().copied()));
    entries.push(("version", b"3\n"));
    zip_writer::write("archive", &entries)
}

/// Reads what `torch.save` or [`save`] wrote. Tensors come back contiguous.
///
/// Memory is bounded: the pickle by 4 MiB, all tensors together by four times `bytes`.
///
/// # Errors
///
/// [`Error::TorchZip`] if the container is broken, compressed or too large for plain zip;
/// [`Error::TorchPickle`] if the pickle is broken, or holds anything that [`Value`] does not.
pub fn load(bytes: &[u8]) -> Result<Value> {
    let entries = zip_reader::read(bytes)?;
    let broken = |reason: String| Error::TorchZip { reason };
    let mut pickles = entries.keys().filter_map(|name| {
        let folder = name.strip_suffix("/data.pkl")?;
        (!folder.contains('/')).then_some(folder)
    });
    let (Some(folder), None) = (pickles.next(), pickles.next()) else {
        return Err(broken("expected one <folder>/data.pkl in the zip".into()));
    };
    let entry = |name: &str| entries.get(format!("{folder}/{name}").as_str()).copied();
    if let Some(order) = entry("byteorder").filter(|&order| order != b"little") {
        let order = String::from_utf8_lossy(order);
        return Err(broken(format!("byte order `{order}`, expected `little`")));
    }
    let program = entry("data.pkl").unwrap_or_default();
    let storage = |key: &str| entry(&format!("data/{key}"));
    pickle_reader::unpickle(program, &storage, bytes.len().saturating_mul(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn sample() -> Value {
        let key = |key: &str| key.to_owned();
        let tensor = |dtype: Dtype, shape: &[usize]| {
            let count: usize = shape.iter().product();
            let bytes = (0..count * dtype.size()).map(|i| (i % 2) as u8).collect();
            Value::Tensor(TorchTensor { dtype, shape: shape.to_vec(), bytes })
        };
        let numbers = [0, 255, 256, 65535, 65536, -1, i64::from(i32::MIN), 1 << 40, i64::MIN];
        let tensors = Dtype::ALL.map(|dtype| (dtype.name().to_owned(), tensor(dtype, &[2, 3])));
        let many = (0..2500).map(|i| (format!("k{i}"), Value::Int(i))).collect();
        Value::Dict(vec![
            (key("tensors"), Value::Dict(tensors.to_vec())),
            (key("scalar"), tensor(Dtype::F32, &[])),
            (key("empty"), tensor(Dtype::F16, &[0, 4])),
            (key("cube"), tensor(Dtype::I8, &[2, 3, 4, 5])),
            (key("list"), Value::List(numbers.map(Value::Int).to_vec())),
            (key("many"), Value::Dict(many)),
            (
                key("tuple"),
                Value::Tuple(vec![
                    Value::None,
                    Value::Bool(true),
                    Value::Bool(false),
                    Value::Float(-1.5e300),
                    Value::Str("\u{2581}é".into()),
                    Value::Tuple(vec![]),
                    Value::List(vec![Value::Int(7)]),
                    Value::Dict(vec![]),
                ]),
            ),
        ])
    }

    #[test]
    fn round_trip() {
        let value = sample();
        let bytes = save(&value).unwrap();
        assert_eq!(load(&bytes).unwrap(), value);
        assert_eq!(save(&value).unwrap(), bytes);
    }

    #[test]
    fn nesting_is_bounded_both_ways() {
        let nested = |depth| (1..depth).fold(Value::List(vec![]), |v, _| Value::List(vec![v]));
        let deepest = nested(MAX_DEPTH + 1);
        assert_eq!(load(&save(&deepest).unwrap()).unwrap(), deepest);
        assert!(save(&nested(MAX_DEPTH + 2)).is_err());
    }

    #[test]
    fn every_truncation_and_every_bit_of_damage_is_an_error() {
        let tensor = TorchTensor { dtype: Dtype::I8, shape: vec![2], bytes: vec![1, 2] };
        let whole = save(&Value::Dict(vec![("w".into(), Value::Tensor(tensor))])).unwrap();
        let value = load(&whole).unwrap();
        for len in 0..whole.len() {
            assert!(load(&whole[..len]).is_err(), "cut to {len}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                // Times, versions and padding may differ; what is read may not.
                if let Ok(read) = load(&damaged) {
                    assert_eq!(read, value, "byte {at} bit {bit}");
                }
            }
        }
    }
}
