//! Spellings that published programs use: each is read as the program that the printer spells its
//! own way. And where the text is wrong, the error points at the place.

#![allow(clippy::unwrap_used, clippy::panic)]

use aneal_mil::{Builder, Dialect, Error, Literal, MatMul, Opset, Program, Type, text};

/// One function with constants, flags, several results and a list of operands.
fn built() -> Program {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input_named("x", Type::fp16(&[1, 4, 2, 8]).unwrap()).unwrap();
    let w = b.input_named("w", Type::fp16(&[1, 4, 6, 8]).unwrap()).unwrap();
    let product = b.matmul(x, w, MatMul { transpose_x: false, transpose_y: true }).unwrap();
    let parts = b.split(product, &[2, 4], 3).unwrap();
    let part = b.mul(parts[0], 0.125).unwrap();
    let joined = b.concat(&[parts[1], part], 3, false).unwrap();
    b.output_named("y", joined).unwrap();
    b.output_named("z", part).unwrap();
    Program::new(vec![b.finish().unwrap()])
}

/// Arguments and attributes sorted, as the builder leaves them: their order is free.
fn sorted(mut program: Program) -> Program {
    for function in &mut program.functions {
        for operation in &mut function.operations {
            operation.arguments.sort_by_key(|(name, _)| *name);
            operation.attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
    }
    program
}

/// The text as tokens: words with numbers, strings, single signs.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
        let length = match first {
            '"' => rest[1..].find('"').unwrap() + 2,
            c if is_word(c) && c != '-' => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// As few blanks as keep words apart.
fn dense(text: &str) -> String {
    let mut out = String::new();
    for token in tokens(text) {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if out.ends_with(word) && token.starts_with(word) {
            out.push(' ');
        }
        out.push_str(token);
    }
    out
}

/// A text with some parts spelled otherwise; each part must be there.
fn with(text: &str, parts: &[(&str, &str)]) -> String {
    parts.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "no `{from}` in:\n{text}");
        text.replace(from, to)
    })
}

#[test]
fn layouts_and_dialects_give_the_program_that_was_built() {
    let program = built();
    let modern = text::print(&program, Dialect::Modern);
    let verbose = text::print(&program, Dialect::Verbose);
    let styles = [
        ("modern dialect", modern.clone()),
        ("verbose dialect", verbose.clone()),
        ("version 1.1", with(&modern, &[("1.3", "1.1")])),
        ("version 1.2", with(&modern, &[("1.3", "1.2")])),
        (
            "verbose types in the modern program",
            with(&verbose, &[("program(1.0)", "program(1.3)")]),
        ),
        ("as few blanks as possible", dense(&modern)),
        ("as few blanks as possible, verbose", dense(&verbose)),
        ("a line for each token", tokens(&modern).join("\n")),
        ("blanks around each token", tokens(&verbose).join("  ")),
        ("no blanks around `=`", with(&modern, &[(" = ", "=")])),
        ("tabs and carriage returns", with(&modern, &[("    ", "\t"), ("\n", "\r\n")])),
        (
            "blank lines and blanks at the ends",
            format!("\n \n{}\n\n", with(&modern, &[("\n", " \n\n")])),
        ),
        (
            "comments",
            format!("// made by hand\n{}// end", with(&modern, &[(";\n", "; // done\n")])),
        ),
        (
            "arguments in another order",
            with(
                &modern,
                &[("transpose_y = bool_t_0, x = x, y = w", "y = w, x = x, transpose_y = bool_t_0")],
            ),
        ),
        (
            "attributes in another order",
            with(
                &modern,
                &[(
                    "[name = string(\"bool_t_0\"), val = bool(true)]",
                    "[val = bool(true), name = string(\"bool_t_0\")]",
                )],
            ),
        ),
    ];
    for (style, text) in styles {
        let read = text::parse(&text).unwrap_or_else(|e| panic!("{style}: {e}\n{text}"));
        assert_eq!(sorted(read.clone()), program, "{style}");
        for dialect in [Dialect::Modern, Dialect::Verbose] {
            assert_eq!(text::parse(&text::print(&read, dialect)).unwrap(), read, "{style}");
        }
    }
}

/// A program around statements.
fn around(statements: &str) -> String {
    let inputs = "tensor<fp16, [2, 4]> a, tensor<fp16, [2, 4]> b";
    let statements: String =
        statements.lines().map(|s| format!("        {}\n", s.trim())).collect();
    format!(
        "program(1.3)\n{{\n    func main<ios18>({inputs}) {{\n{statements}        \
         tensor<fp16, [2, 4]> y = add(x = a, y = b)[name = string(\"y\")];\n    }} -> (y);\n}}\n"
    )
}

/// Style, statements spelled so, and as the printer spells them.
type Style = (&'static str, &'static str, &'static str);

#[rustfmt::skip] // one line a style
const STYLES: &[Style] = &[
    ("scalars", "fp16 s=const()[name=string(\"s\"),val=fp16(0.5)];", "fp16 s = const()[name = string(\"s\"), val = fp16(0.5)];"),
    ("scalars as tensors of rank 0", "tensor<bool, []> ff = const()[name = tensor<string, []>(\"ff\"), val = tensor<bool, []>(false)];", "bool ff = const()[name = string(\"ff\"), val = bool(false)];"),
    ("scalar types mixed with tensors of rank 0", "tensor<fp16, []> s = const()[val = fp16(1.5)];", "fp16 s = const()[val = fp16(1.5)];"),
    ("unsigned scalar", "uint64 s = const()[val = uint64(18446744073709551615)];", "uint64 s = const()[val = uint64(18446744073709551615)];"),
    ("negative integers", "int32 s = const()[val = int32(-1)];", "int32 s = const()[val = int32(-1)];"),
    ("plus signs", "fp32 s = const()[val = fp32(+2.5)];", "fp32 s = const()[val = fp32(2.5)];"),
    ("integers as floats", "fp16 s = const()[val = fp16(3)];", "fp16 s = const()[val = fp16(3.0)];"),
    ("exponents", "fp16 s = const()[val = fp16(5e-1)];", "fp16 s = const()[val = fp16(0.5)];"),
    ("no digit before the point", "fp16 s = const()[val = fp16(.5)];", "fp16 s = const()[val = fp16(0.5)];"),
    ("no digit behind the point", "fp16 s = const()[val = fp16(2.)];", "fp16 s = const()[val = fp16(2.0)];"),
    ("hexadecimal floats", "fp16 s = const()[val = fp16(0x1p-3)];", "fp16 s = const()[val = fp16(0.125)];"),
    ("hexadecimal floats with a fraction", "fp16 s = const()[val = fp16(-0X1.8P+1)];", "fp16 s = const()[val = fp16(-3.0)];"),
    ("decimals that are rounded", "fp16 s = const()[val = fp16(0.0013020833)];", "fp16 s = const()[val = fp16(0x1.554p-10)];"),
    ("subnormal numbers", "fp16 s = const()[val = fp16(5.9604645e-8)];", "fp16 s = const()[val = fp16(0x1p-24)];"),
    ("infinity", "fp16 s = const()[val = fp16(-inf)];", "fp16 s = const()[val = fp16(-inf)];"),
    ("infinity in words", "fp32 s = const()[val = fp32(Infinity)];", "fp32 s = const()[val = fp32(inf)];"),
    ("not a number", "fp32 s = const()[val = fp32(NaN)];", "fp32 s = const()[val = fp32(nan)];"),
    ("negative zero", "fp16 s = const()[val = fp16(-0.0)];", "fp16 s = const()[val = fp16(-0x0p+0)];"),
    ("lists of integers", "tensor<int32,[4]> s = const()[val=tensor<int32,[4]>([1,2,3,4])];", "tensor<int32, [4]> s = const()[val = tensor<int32, [4]>([1, 2, 3, 4])];"),
    ("lists of booleans", "tensor<bool, [2]> s = const()[val = tensor<bool, [2]>([true,false])];", "tensor<bool, [2]> s = const()[val = tensor<bool, [2]>([true, false])];"),
    ("lists of floats", "tensor<fp16, [3]> s = const()[val = tensor<fp16, [3]>([1, 0x1p-1, 2e0])];", "tensor<fp16, [3]> s = const()[val = tensor<fp16, [3]>([1.0, 0.5, 2.0])];"),
    ("lists of strings", "tensor<string, [2]> s = const()[val = tensor<string, [2]>([\"a\",\"b\"])];", "tensor<string, [2]> s = const()[val = tensor<string, [2]>([\"a\", \"b\"])];"),
    ("flat lists for several axes", "tensor<int8, [2, 2]> s = const()[val = tensor<int8, [2, 2]>([1, 2, 3, 4])];", "tensor<int8, [2, 2]> s = const()[val = tensor<int8, [2, 2]>([[1, 2], [3, 4]])];"),
    ("nested lists", "tensor<fp16, [1, 2, 1, 1]> s = const()[val = tensor<fp16, [1, 2, 1, 1]>([[[[1.0]], [[2.0]]]])];", "tensor<fp16, [1, 2, 1, 1]> s = const()[val = tensor<fp16, [1, 2, 1, 1]>([[[[1.0]], [[2.0]]]])];"),
    ("one element without a list", "tensor<int32, [1]> s = const()[val = tensor<int32, [1]>(-1)];", "tensor<int32, [1]> s = const()[val = tensor<int32, [1]>([-1])];"),
    ("four bits", "tensor<int4, [2]> s = const()[val = tensor<int4, [2]>([-8, 7])];", "tensor<int4, [2]> s = const()[val = tensor<int4, [2]>([-8, 7])];"),
    ("one bit", "tensor<uint1, [3]> s = const()[val = tensor<uint1, [3]>([1, 0, 1])];", "tensor<uint1, [3]> s = const()[val = tensor<uint1, [3]>([1, 0, 1])];"),
    ("small integers", "uint16 s = const()[val = uint16(65535)];\nint16 t = const()[val = int16(-32768)];\nuint8 u = const()[val = uint8(255)];\nuint4 v = const()[val = uint4(15)];", "uint16 s = const()[val = uint16(65535)];\nint16 t = const()[val = int16(-32768)];\nuint8 u = const()[val = uint8(255)];\nuint4 v = const()[val = uint4(15)];"),
    ("strings", "string s = const()[name = string(\"s\"), val = string(\"valid\")];", "string s = const()[name = string(\"s\"), val = string(\"valid\")];"),
    ("strings with escapes", r#"string s = const()[val = string("a \"b\" \\ \n\t\r")];"#, r#"string s = const()[val = string("a \"b\" \\ \n\t\r")];"#),
    ("strings with signs and other scripts", "string s = const()[val = string(\"// [;] é 神\")];", "string s = const()[val = string(\"// [;] é 神\")];"),
    ("empty strings", "string s = const()[val = string(\"\")];", "string s = const()[val = string(\"\")];"),
    ("weight files", "tensor<fp16, [4, 4, 1, 1]> s = const()[name=string(\"s\"), val=tensor<fp16, [4,4,1,1]>(BLOBFILE(path=string(\"@model_path/weights/w.bin\"), offset=uint64(64)))];", "tensor<fp16, [4, 4, 1, 1]> s = const()[name = string(\"s\"), val = tensor<fp16, [4, 4, 1, 1]>(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = uint64(64)))];"),
    ("weight files in the verbose dialect", "tensor<fp16, [4]> s = const()[val = tensor<fp16, [4]>(BLOBFILE(path = tensor<string, []>(\"@model_path/w.bin\"), offset = tensor<uint64, []>(128)))];", "tensor<fp16, [4]> s = const()[val = tensor<fp16, [4]>(BLOBFILE(path = string(\"@model_path/w.bin\"), offset = uint64(128)))];"),
    ("weight files, offset first", "tensor<int8, [4]> s = const()[val = tensor<int8, [4]>(BLOBFILE( offset = uint64(64) , path = string(\"w.bin\") ))];", "tensor<int8, [4]> s = const()[val = tensor<int8, [4]>(BLOBFILE(path = string(\"w.bin\"), offset = uint64(64)))];"),
    ("offsets that are not aligned", "tensor<fp16, [4]> s = const()[val = tensor<fp16, [4]>(BLOBFILE(path = string(\"w.bin\"), offset = uint64(200)))];", "tensor<fp16, [4]> s = const()[val = tensor<fp16, [4]>(BLOBFILE(path = string(\"w.bin\"), offset = uint64(200)))];"),
    ("no `name` on a constant", "int32 s = const()[val = int32(1)];", "int32 s = const()[val = int32(1)];"),
    ("no attributes on an operation", "tensor<fp16, [2, 4]> s = relu(x = a);", "tensor<fp16, [2, 4]> s = relu(x = a);"),
    ("no attributes in the brackets", "tensor<fp16, [2, 4]> s = relu(x = a)[];", "tensor<fp16, [2, 4]> s = relu(x = a);"),
    ("equal `name` attributes", "fp16 s = const()[name = string(\"bF\"), val = fp16(1.0)];\nfp16 t = const()[name = string(\"bF\"), val = fp16(2.0)];", "fp16 s = const()[name = string(\"bF\"), val = fp16(1.0)];\nfp16 t = const()[name = string(\"bF\"), val = fp16(2.0)];"),
    ("the `name` attribute twice", "fp16 s = const()[name = string(\"s\"), name = string(\"t\"), val = fp16(1.0)];", "fp16 s = const()[name = string(\"s\"), name = string(\"t\"), val = fp16(1.0)];"),
    ("a `name` that is no identifier", "tensor<fp16, [2, 4]> s = relu(x = a)[name = string(\"block.0/relu:0\")];", "tensor<fp16, [2, 4]> s = relu(x = a)[name = string(\"block.0/relu:0\")];"),
    ("the name behind the value", "fp16 s = const()[val = fp16(1.0), name = string(\"s\")];", "fp16 s = const()[val = fp16(1.0), name = string(\"s\")];"),
    ("constants in place", "tensor<fp16, [2, 4]> s = softmax(x=a, axis=int32(-1));", "tensor<fp16, [2, 4]> s = softmax(x = a, axis = int32(-1));"),
    ("constants in place, verbose", "tensor<fp16, [2, 4]> s = softmax(axis = tensor<int32, []>(1), x = a);", "tensor<fp16, [2, 4]> s = softmax(axis = int32(1), x = a);"),
    ("lists in place", "tensor<fp16, [8]> s = reshape(shape=tensor<int32,[1]>([8]),x=a);", "tensor<fp16, [8]> s = reshape(shape = tensor<int32, [1]>([8]), x = a);"),
    ("flags and strings in place", "tensor<fp16, [2, 2]> s = matmul(transpose_x=bool(false),transpose_y=bool(true),x=a,y=b);\ntensor<fp32, [2, 4]> t = cast(dtype=string(\"fp32\"),x=a);", "tensor<fp16, [2, 2]> s = matmul(transpose_x = bool(false), transpose_y = bool(true), x = a, y = b);\ntensor<fp32, [2, 4]> t = cast(dtype = string(\"fp32\"), x = a);"),
    ("weight files in place", "tensor<fp16, [4, 2]> s = constexpr_blockwise_shift_scale(data=tensor<int8, [4, 2]>(BLOBFILE(path=string(\"w.bin\"), offset=uint64(64))), scale=tensor<fp16, [4, 1]>(BLOBFILE(path=string(\"w.bin\"), offset=uint64(192))));", "tensor<fp16, [4, 2]> s = constexpr_blockwise_shift_scale(data = tensor<int8, [4, 2]>(BLOBFILE(path = string(\"w.bin\"), offset = uint64(64))), scale = tensor<fp16, [4, 1]>(BLOBFILE(path = string(\"w.bin\"), offset = uint64(192))));"),
    ("parameters as attributes", "tensor<fp16, [2, 1]> s = constexpr_affine_dequantize()[axis=int32(0), name=string(\"s\"), quantized_data=tensor<int8,[2,1]>([1,2]), scale=fp16(0.5), zero_point=int8(0)];", "tensor<fp16, [2, 1]> s = constexpr_affine_dequantize()[axis = int32(0), name = string(\"s\"), quantized_data = tensor<int8, [2, 1]>([[1], [2]]), scale = fp16(0.5), zero_point = int8(0)];"),
    ("lists of operands", "tensor<fp16, [4, 4]> s = concat(values=(a,b),axis=int32(0),interleave=bool(false));", "tensor<fp16, [4, 4]> s = concat(values = (a, b), axis = int32(0), interleave = bool(false));"),
    ("lists of operands with constants in place", "tensor<fp16, [2]> s = stack(values = ( fp16(1) , fp16(2) ), axis = int32(0));", "tensor<fp16, [2]> s = stack(values = (fp16(1.0), fp16(2.0)), axis = int32(0));"),
    ("several results", "tensor<fp16, [2, 2]> s,tensor<fp16, [2, 2]> t=split(axis=int32(1),num_splits=int32(2),x=a);", "tensor<fp16, [2, 2]> s, tensor<fp16, [2, 2]> t = split(axis = int32(1), num_splits = int32(2), x = a);"),
    ("names that are words of operations and parameters", "tensor<fp16, [2, 4]> relu = relu(x = a);\ntensor<fp16, [2, 4]> x = add(x = relu, y = b);\nfp16 val = const()[val = fp16(1.0)];\nfp16 name = const()[name = string(\"name\"), val = fp16(2.0)];", "tensor<fp16, [2, 4]> relu = relu(x = a);\ntensor<fp16, [2, 4]> x = add(x = relu, y = b);\nfp16 val = const()[val = fp16(1.0)];\nfp16 name = const()[name = string(\"name\"), val = fp16(2.0)];"),
    ("names that begin as types and keywords", "tensor<fp16, [2, 4]> tensor_0 = relu(x = a);\ntensor<fp16, [2, 4]> fp16_1 = relu(x = tensor_0);\ntensor<fp16, [2, 4]> func_2 = relu(x = fp16_1);\ntensor<fp16, [2, 4]> int = relu(x = func_2);", "tensor<fp16, [2, 4]> tensor_0 = relu(x = a);\ntensor<fp16, [2, 4]> fp16_1 = relu(x = tensor_0);\ntensor<fp16, [2, 4]> func_2 = relu(x = fp16_1);\ntensor<fp16, [2, 4]> int = relu(x = func_2);"),
    ("names of underscores, digits and capitals", "tensor<fp16, [2, 4]> _ = relu(x = a);\ntensor<fp16, [2, 4]> _1 = relu(x = _);\ntensor<fp16, [2, 4]> Y2_ = relu(x = _1);", "tensor<fp16, [2, 4]> _ = relu(x = a);\ntensor<fp16, [2, 4]> _1 = relu(x = _);\ntensor<fp16, [2, 4]> Y2_ = relu(x = _1);"),
    ("the function's name as a value's", "tensor<fp16, [2, 4]> main = relu(x = a);", "tensor<fp16, [2, 4]> main = relu(x = a);"),
];

#[test]
fn statements_are_read_as_the_printer_spells_them() {
    for (style, spelled, printed) in STYLES {
        let read = text::parse(&around(spelled)).unwrap_or_else(|e| panic!("{style}: {e}"));
        assert_eq!(text::print(&read, Dialect::Modern), around(printed), "{style}");
        for dialect in [Dialect::Modern, Dialect::Verbose] {
            assert_eq!(text::parse(&text::print(&read, dialect)).unwrap(), read, "{style}");
        }
    }
}

#[test]
fn spelled_constants_are_those_built() {
    let ty = Type::fp16(&[2, 2]).unwrap();
    let literal = Literal::from_floats(ty, &[1.0 / 768.0, -65504.0, f32::INFINITY, 0.1]).unwrap();
    let statement = "tensor<fp16, [2, 2]> s = const()[val = tensor<fp16, [2, 2]>(\
                     [0.00130208333, -65504, inf, 0x1.999999999999ap-4])];";
    let program = text::parse(&around(statement)).unwrap();
    assert_eq!(program.functions[0].operations[0].constant(), Some(&literal));
}

#[test]
fn headers_and_functions() {
    let body = "func main<ios16>(tensor<fp16,[1,64,1,128]> x){tensor<fp16,[1,64,1,128]> y=relu(x=x);}->(y);";
    let info = "{{\"coremlc-version\", \"3505.4.1\"}}";
    let modern = format!("[buildInfo = dict<string, string>({info})]");
    let verbose = format!("[buildInfo = dict<tensor<string, []>, tensor<string, []>>({info})]");
    for (style, header, pairs) in [
        ("no build information", "program(1.3)".to_owned(), 0),
        ("empty build information", "program(1.3)[buildInfo=dict<string,string>({})]".into(), 0),
        ("modern header", format!("program(1.3)\n{modern}"), 1),
        ("verbose header", format!("program(1.0)\n{verbose}"), 1),
        ("modern build information in the old program", format!("program( 1.0 ){modern}"), 1),
    ] {
        let text = format!("{header}{{{body}}}");
        let program = text::parse(&text).unwrap_or_else(|e| panic!("{style}: {e}"));
        assert_eq!(program.build_info.len(), pairs, "{style}");
        for (key, value) in &program.build_info {
            assert_eq!((key.as_str(), value.as_str()), ("coremlc-version", "3505.4.1"), "{style}");
        }
        for dialect in [Dialect::Modern, Dialect::Verbose] {
            assert_eq!(text::parse(&text::print(&program, dialect)).unwrap(), program, "{style}");
        }
    }
    for opset in Opset::ALL {
        let body = body.replace("ios16", opset.name());
        let program = text::parse(&format!("program(1.0){{{body}}}")).unwrap();
        assert_eq!(program.functions[0].opset, opset);
    }
    let two = format!("program(1.3){{{body}{}}}", body.replace("main", "other"));
    let program = text::parse(&two).unwrap();
    assert_eq!(program.functions.len(), 2);
    assert_eq!(text::parse(&text::print(&program, Dialect::Modern)).unwrap(), program);
}

/// A text with `¦` where the error points, and the essence of its message.
type Misspelled = (&'static str, &'static str, &'static str);

#[rustfmt::skip] // one line a case
const MISSPELLED: &[Misspelled] = &[
    ("no semicolon", "program(1.3)\n{\n    func main<ios18>(tensor<fp16, [2]> a) {\n        tensor<fp16, [2]> y = relu(x = a)\n    ¦} -> (y);\n}\n", "expected `;`, found `}`"),
    ("no equals sign", "program(1.3) {\n  func main<ios18>(tensor<fp16, [2]> a) {\n    tensor<fp16, [2]> y ¦relu(x = a);\n  } -> (y);\n}", "expected `=`, found `relu`"),
    ("no type", "program(1.3) {\n  func main<ios18>(tensor<fp16, [2]> a) {\n    ¦y = relu(x = a);\n  } -> (y);\n}", "`y` is no type; expected tensor or fp16"),
    ("a name with a percent sign", "program(1.3) {\n  func main<ios18>(tensor<fp16, [2]> a) {\n    tensor<fp16, [2]> ¦%y = relu(x = a);\n  } -> (y);\n}", "expected a value's name, found `%`"),
    ("a string without an end", "program(1.3)\n[buildInfo = dict<string, string>({{¦\"key, 1}})]\n{\n}\n", "the string has no end"),
    ("an unknown escape", "program(1.3)\n[buildInfo = dict<string, string>({{\"a¦\\q\", \"1\"}})]\n{\n}\n", "expected \\\", \\\\, \\n, \\r or \\t"),
    ("an unknown version", "program(¦2.0)\n{\n}\n", "version `2.0`, expected 1.0 to 1.3"),
    ("an unknown opset", "program(1.3) {\n\tfunc main<¦ios99>(", "`ios99` is no opset"),
    ("no arrow", "program(1.3) {\n  func main<ios18>(tensor<fp16, [2]> a) {\n    tensor<fp16, [2]> y = relu(x = a);\n  } ¦(y);\n}", "expected `-`, found `(`"),
    ("the end of the text", "program(1.3)\n{\n    func main<ios18>(tensor<fp16, [2]> a) {\n¦", "expected a type, found the end of the text"),
    ("text behind the program", "program(1.3) {\n  func main<ios18>(tensor<fp16, [2]> a) { tensor<fp16, [2]> y = relu(x = a); } -> (y);\n}\n ¦more", "expected the end of the text"),
    ("behind other scripts", "program(1.3)\n[buildInfo = dict<string, string>({{\"é\", \"神\"¦; }})]\n{\n}\n", "expected `}`, found `;`"),
    ("no text", "¦", "expected `program`, found the end of the text"),
];

#[test]
fn errors_point_at_the_place() {
    for (case, marked, message) in MISSPELLED {
        let (before, after) = marked.split_once('¦').unwrap();
        let text = format!("{before}{after}");
        let row = before.rsplit('\n').next().unwrap();
        let Err(Error::Text { line, column, reason, excerpt }) = text::parse(&text) else {
            panic!("{case} is accepted")
        };
        assert!(reason.contains(message), "{case}: {reason}");
        assert_eq!(line, before.matches('\n').count() + 1, "{case}");
        assert_eq!(column, row.chars().count() + 1, "{case}");
        let whole = row.to_owned() + after.split('\n').next().unwrap();
        let caret = " ".repeat(row.chars().count()) + "^";
        assert_eq!(excerpt, format!("    {}\n    {caret}", whole.replace('\t', " ")), "{case}");
    }
}

#[test]
fn the_caret_stays_in_sight_on_long_lines() {
    let padding = "x".repeat(300);
    let text = format!("program(1.3) /{padding}");
    let Err(Error::Text { column, excerpt, .. }) = text::parse(&text) else { panic!("accepted") };
    assert_eq!(column, 14);
    assert!(excerpt.lines().all(|line| line.chars().count() <= 104), "{excerpt}");
    let text = format!("program(1.3)[buildInfo=dict<string,string>({{{{\"{padding}\";}}}})]{{}}");
    let Err(Error::Text { column, excerpt, .. }) = text::parse(&text) else { panic!("accepted") };
    let lines: Vec<&str> = excerpt.lines().collect();
    let caret = lines[1].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[0].chars().nth(caret), Some(';'));
    assert_eq!(text.chars().nth(column - 1), Some(';'));
}
