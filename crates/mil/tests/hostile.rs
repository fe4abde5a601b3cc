//! Programs that nobody would write: each was, or would have been, a panic, a text that cannot be
//! read again, or memory without bound.

#![allow(clippy::unwrap_used, clippy::panic)]

use aneal_mil::blob::{Weights, Writer};
use aneal_mil::coreml::Package;
use aneal_mil::{Data, Dialect, Literal, Program, Type, check, text};

fn program(statements: &str) -> String {
    format!(
        "program(1.3)\n{{ func main<ios18>(tensor<fp16, [1, 1073741824]> i00_x) {{\n{statements}\n\
         }} -> (o00_y);\n}}"
    )
}

fn read(statements: &str) -> Program {
    text::parse(&program(statements)).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(statements: &str, expected: &str) {
    let error = text::parse(&program(statements)).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

const RELU: &str = "tensor<fp16, [1, 1073741824]> o00_y = relu(x = i00_x);";

#[test]
fn attributes_that_text_cannot_spell_are_refused() {
    for name in ["na?e", "", "1st", "a = b, c"] {
        let mut program = read(RELU);
        program.functions[0].operations[0].attributes.push((name.into(), Literal::bool(true)));
        let error = check(&program).unwrap_err().to_string();
        assert!(error.contains("is no name"), "{name}: {error}");
        let model = Package { program, weights: Weights::new() }.model().unwrap();
        assert!(Package::decode_model(&model).is_err(), "{name}");
    }
}

#[test]
fn any_offset_is_printed_and_read() {
    let weight = "tensor<fp16, [16]> w = const()[val = tensor<fp16, [16]>(BLOBFILE(path = \
                  string(\"w\"), offset = uint64(18446744073709551615)))];\n";
    let program = read(&format!("{weight}{RELU}"));
    for dialect in [Dialect::Modern, Dialect::Verbose] {
        assert_eq!(text::parse(&text::print(&program, dialect)).unwrap(), program);
    }
    let model = Package { program: program.clone(), weights: Weights::new() }.model().unwrap();
    assert_eq!(Package::decode_model(&model).unwrap(), program);
    let mut weights = Weights::new();
    weights.insert("w", Writer::new().finish());
    let error = Package::new(program, &weights).unwrap_err().to_string();
    assert!(error.contains("past any file"), "{error}");
    for offset in ["int32(-64)", "fp16(64.0)", "string(\"64\")"] {
        refused(&weight.replace("uint64(18446744073709551615)", offset), "not negative");
    }
}

#[test]
fn counts_do_not_fill_memory() {
    refused(
        "tensor<fp16, [1, 1]> o00_y = split(x = i00_x, axis = int32(1), \
         num_splits = int32(1073741824));",
        "1073741824 parts, expected at most",
    );
    let axes: Vec<String> = (0..100_000).map(|axis| axis.to_string()).collect();
    refused(
        &format!(
            "tensor<fp16, [1, 1]> o00_y = expand_dims(x = i00_x, axes = tensor<int32, \
             [100000]>([{}]));",
            axes.join(", ")
        ),
        "adds 100000 axes, expected at most",
    );
    refused(
        "tensor<fp16, [1, 1099511627776]> w = const()[val = tensor<fp16, [1, 1099511627776]>([1])];",
        "is not from 1 to",
    );
    refused(
        "tensor<fp16, [1073741824]> w = const()[val = tensor<fp16, [1073741824]>([1.0])];",
        "takes 1073741824 elements, found 1",
    );
    // Nothing is allocated for what a weight file does not hold.
    let program = read(&format!(
        "tensor<fp16, [1073741824, 1024]> w = const()[val = tensor<fp16, [1073741824, 1024]>(\
         BLOBFILE(path = string(\"w\"), offset = uint64(64)))];\n{RELU}"
    ));
    let mut writer = Writer::new();
    writer.push(&Literal::from_floats(Type::fp16(&[1]).unwrap(), &[1.0]).unwrap()).unwrap();
    let mut weights = Weights::new();
    weights.insert("w", writer.finish());
    let error = Package::new(program, &weights).unwrap_err().to_string();
    assert!(error.contains("it says 2 bytes"), "{error}");
}

#[test]
fn nesting_is_no_deeper_than_the_rank() {
    let deep = "[".repeat(1 << 20);
    refused(
        &format!("tensor<fp16, [1, 1]> w = const()[val = tensor<fp16, [1, 1]>({deep}"),
        "expected a number",
    );
    // Operations with blocks with operations: the decoder stops before the stack does.
    let mut model = Vec::new();
    for _ in 0..10_000 {
        model = field(&[0x1a], field(&[0x22], model));
    }
    // A block in a specialization in a function in a program.
    for tag in [&[0x12][..], &[0x1a], &[0x12], &[0x12], &[0xb2, 0x1f]] {
        model = field(tag, model);
    }
    let error = Package::decode_model(&model).unwrap_err().to_string();
    assert!(error.contains("recursion limit"), "{error}");
}

/// A protobuf field that holds a message.
fn field(tag: &[u8], message: Vec<u8>) -> Vec<u8> {
    let mut out = tag.to_vec();
    let mut length = message.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(message);
    out
}

#[test]
fn weights_written_in_place_are_carried_along() {
    let mut writer = Writer::new();
    writer.push(&Literal::from_floats(Type::fp16(&[1]).unwrap(), &[2.0]).unwrap()).unwrap();
    let mut weights = Weights::new();
    weights.insert("w", writer.finish());
    let program = read(
        "tensor<fp16, [1, 1073741824]> o00_y = mul(x = i00_x, y = tensor<fp16, [1]>(BLOBFILE(path \
         = string(\"w\"), offset = uint64(64))));",
    );
    let package = Package::new(program, &weights).unwrap();
    let operands: Vec<_> = package.program.functions[0].operations[0].operands().collect();
    assert!(operands.iter().any(|operand| matches!(operand,
        aneal_mil::Operand::Literal(literal) if matches!(literal.data(), Data::Bytes(_)))));
}

#[test]
fn a_blob_named_twice_is_in_memory_once() {
    let named = |name: &str| {
        format!(
            "tensor<fp16, [1]> {name} = const()[val = tensor<fp16, [1]>(BLOBFILE(path = \
             string(\"w\"), offset = uint64(64)))];\n"
        )
    };
    let mut program = read(&format!("{}{}{RELU}", named("a"), named("b")));
    let mut writer = Writer::new();
    writer.push(&Literal::from_floats(Type::fp16(&[1]).unwrap(), &[2.0]).unwrap()).unwrap();
    let mut weights = Weights::new();
    weights.insert("w", writer.finish());
    weights.load_into(&mut program).unwrap();
    let operations = &program.functions[0].operations;
    let place = |at: usize| operations[at].constant().unwrap().bytes().unwrap().as_ptr();
    assert_eq!(place(0), place(1));
}

#[cfg(unix)]
#[test]
fn a_package_that_leads_to_a_device_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mlpackage");
    Package::new(read(RELU), &Weights::new()).unwrap().write(&path).unwrap();
    assert_eq!(Package::read(&path).unwrap().program, read(RELU));
    let model = Package::model_path(&path).unwrap();
    std::fs::remove_file(&model).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &model).unwrap();
    assert!(Package::read(&path).unwrap_err().to_string().contains("no regular file"));
}
