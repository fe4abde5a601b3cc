//! What the machine reads, what it refuses, and that nothing it is given makes it panic.

use proptest::prelude::*;

use super::*;
use crate::torch_file::{Dtype, TorchTensor, pickle_writer};

const STORAGE: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

fn run(program: &[u8]) -> Result<Value> {
    unpickle(program, &|key| (key == "0").then_some(&STORAGE), 4 * STORAGE.len())
}

/// A program that makes an int8 tensor of `STORAGE`.
fn tensor_program(offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let tuple = |sizes: &[u8]| {
        let sizes: Vec<u8> = sizes.iter().flat_map(|&size| [b'K', size]).collect();
        [b"(", &sizes[..], b"t"].concat()
    };
    [
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nCharStorage\n",
        &b"X\x01\0\0\x000X\x03\0\0\0cpuK\x0ctQK"[..],
        &[offset],
        &tuple(shape),
        &tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR.",
    ]
    .concat()
}

#[test]
fn strides_are_honoured() {
    type Sizes<'a> = &'a [u8];
    let cases: [(u8, Sizes<'_>, Sizes<'_>, &[u8]); 8] = [
        (0, &[3, 4], &[4, 1], &STORAGE),
        (2, &[2, 3], &[3, 1], &[2, 3, 4, 5, 6, 7]),
        (0, &[4, 3], &[1, 4], &[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]),
        (1, &[2, 2, 2], &[6, 2, 1], &[1, 2, 3, 4, 7, 8, 9, 10]),
        (5, &[3], &[0], &[5, 5, 5]),
        (11, &[], &[], &[11]),
        (0, &[2, 0], &[9, 9], &[]),
        (3, &[1, 2, 1], &[99, 1, 50], &[3, 4]),
    ];
    for (offset, shape, strides, expected) in cases {
        let value = run(&tensor_program(offset, shape, strides)).unwrap();
        let shape = shape.iter().map(|&size| size.into()).collect();
        let bytes = expected.to_vec();
        assert_eq!(value, Value::Tensor(TorchTensor { dtype: Dtype::I8, shape, bytes }));
    }
}

#[test]
fn tensors_stay_inside_their_storage_and_within_bounds() {
    let cases: [(u8, &[u8], &[u8], &str); 7] = [
        (0, &[1; 65], &[1; 65], "65 dimensions, expected at most 64"),
        (0, &[13], &[1], "shape [13] leaves its storage"),
        (12, &[1], &[1], "leaves its storage"),
        (0, &[3, 4], &[5, 1], "leaves its storage"),
        (12, &[], &[], "leaves its storage"),
        (0, &[3, 4], &[1], "2 dimensions has 1 strides"),
        (0, &[255, 255, 255], &[0, 0, 0], "more than 4 times the file"),
    ];
    for (offset, shape, strides, expected) in cases {
        let message = run(&tensor_program(offset, shape, strides)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn reads_what_torch_writes_for_state_dicts() {
    // An OrderedDict with a `_metadata` attribute, holding a parameter.
    let tensor = tensor_program(0, &[2], &[1]);
    let program = [
        b"\x80\x02ccollections\nOrderedDict\n)RX\x01\0\0\0wctorch._utils\n_rebuild_parameter\n(",
        &tensor[2..tensor.len() - 1],
        b"\x88ccollections\nOrderedDict\n)RtRs}X\x09\0\0\0_metadataNsb.",
    ]
    .concat();
    let Value::Dict(items) = run(&program).unwrap() else { panic!("a dictionary") };
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].0, "w");
    assert!(matches!(&items[0].1, Value::Tensor(tensor) if tensor.bytes == [0, 1]));
}

#[test]
fn refuses_everything_else_by_name() {
    let long_name = [&b"X\xff\xff\xff\x7f"[..], b"abc."].concat();
    // Each level holds the level before it ten times.
    let laughs = [b"]".to_vec(), b"q\x000(h\0h\0h\0h\0h\0h\0h\0h\0t".repeat(3)].concat();
    let mut bomb = b"(K\x01tq\0".to_vec();
    for _ in 0..40 {
        bomb.extend(b"(h\0h\0h\0h\0tq\0");
    }
    let bomb = [b"(", &bomb[..], b"t."].concat();
    let cases: [(&str, &[u8], &str); 24] = [
        ("empty", b"", "cut short"),
        ("protocol 4", b"\x80\x04N.", "pickle protocol 4"),
        ("system", b"cos\nsystem\n.", "`os.system`"),
        ("eval", b"c__builtin__\neval\n(X\x01\0\0\0xtR.", "`__builtin__.eval`"),
        ("other storage", b"ctorch\nQInt8Storage\n.", "`torch.QInt8Storage`"),
        ("instance", b"(ios\nsystem\n.", "opcode 0x69"),
        ("pop", &laughs, "opcode 0x30"),
        ("new object", b"ccollections\nOrderedDict\n)\x81.", "opcode 0x81"),
        ("call of a dictionary", b"})R.", "not a function"),
        ("storage class call", b"ctorch\nFloatStorage\n)R.", "storage class is called"),
        ("wrong arguments", b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "called with 0 arguments"),
        ("a function as result", b"ccollections\nOrderedDict\n.", "a function stands"),
        (
            "absent storage",
            b"(X\x07\0\0\0storagectorch\nCharStorage\nX\x01\0\0\x001X\0\0\0\0K\x01tQ.",
            "storage data/1 is absent",
        ),
        (
            "storage size",
            b"(X\x07\0\0\0storagectorch\nHalfStorage\nX\x01\0\0\x000X\0\0\0\0K\x0ctQ.",
            "storage data/0 is 12 bytes, expected 12 of float16",
        ),
        ("storage id", b"NQ.", "a tuple was expected"),
        ("nothing on the stack", b".", "work left"),
        ("two things on the stack", b"NN.", "work left"),
        ("bytes after the end", b"N.N", "work left"),
        ("below the mark", b"N(\x85t.", "the stack is empty"),
        ("recall", b"h\x05.", "not remembered"),
        ("int keys", b"}K\x01Ns.", "key is not a string"),
        ("long string", &long_name, "cut short"),
        ("big integer", b"\x8a\x09123456789.", "an integer of 9 bytes"),
        ("bomb", &bomb, "more than 16 times the pickle"),
    ];
    for (name, program, expected) in cases {
        let message = run(program).unwrap_err().to_string();
        assert!(message.contains(expected), "{name}: {message}");
    }
    let twice = b"}(X\x01\0\0\0aNX\x01\0\0\0aNu.";
    assert!(run(twice).unwrap_err().to_string().contains("`a` is twice"));
    let itself = b"]q\0h\0a.";
    assert!(run(itself).unwrap_err().to_string().contains("nested more than 64"));
    let large = vec![b'N'; MAX_PROGRAM + 1];
    assert!(run(&large).unwrap_err().to_string().contains("expected at most"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn damaged_programs_do_not_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let tensor = TorchTensor { dtype: Dtype::I8, shape: vec![3, 4], bytes: STORAGE.to_vec() };
        let list = Value::List(vec![Value::Int(70_000), Value::Float(1.5), Value::None]);
        let value = Value::Dict(vec![("w".into(), Value::Tensor(tensor)), ("l".into(), list)]);
        let mut program = pickle_writer::pickle(&value).unwrap().program;
        prop_assert_eq!(run(&program).unwrap(), value);
        for (at, byte) in damage {
            *at.get_mut(&mut program) = byte;
        }
        let _ = run(&program);
    }

    #[test]
    fn random_programs_do_not_panic(
        program in prop::collection::vec(
            prop::sample::select(&b"N\x88K\x01J]})(tea\x85\x86\x87suqh\0cRQb.ctorch\nX"[..]), 0..60,
        ),
    ) {
        let _ = run(&program);
    }
}
