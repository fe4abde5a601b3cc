//! Each rule finds what it should, and only with the rule in force.

use super::*;
use crate::{Builder, Conv, DType, Literal, MatMul, Opset, Result, Type, Value};

#[test]
fn every_number_is_a_rule_or_has_a_reason() {
    for number in 1..=103_u8 {
        let rule = RULES.iter().filter(|rule| rule.id == format!("C{number}")).count();
        let reason = UNSEEN.iter().filter(|(numbers, _)| numbers.contains(&number)).count();
        assert_eq!(rule + reason, 1, "C{number}");
    }
}

#[test]
fn unknown_rules_are_named() {
    let unknown = RuleSet::of(["C12", "C999"], Limits::default()).unwrap_err();
    assert_eq!(unknown, ["C999"]);
}

type Make = fn(&mut Builder, Value) -> Result<Value>;

/// The input's dimensions, and a function of it that breaks the rule.
#[rustfmt::skip] // one line a rule
const BREAKS: &[(&str, &[usize], Make)] = &[
    ("C2", &[1, 1, 1, 17_920], |b, x| b.relu(x)),
    ("C3", &[1, 32, 1, 64], |b, x| { let mut y = b.slice_by_size(x, &[0; 4], &[1, 32, 1, 32])?; for _ in 0..70 { y = b.relu(y)?; } Ok(y) }),
    ("C5", &[1, 2, 3, 4, 32], |b, x| { let t = b.transpose(x, &[0, 1, 2, 4, 3])?; b.matmul(x, t, MatMul::default()) }),
    ("C7", &[1, 2, 1, 64], |b, x| conv(b, x, &[2, 2, 1, 16])),
    ("C8", &[1, 32_000, 1, 1], |b, x| { let w = b.slice_by_size(x, &[0; 4], &[1, 32_000, 1, 1])?; b.conv(x, w, Conv::default()) }),
    ("C9", &[1, 1, 1, 1], |b, x| conv(b, x, &[62_081, 1, 1, 1])),
    ("C10", &[1, 4, 1, 4], |b, x| { let w = b.reshape(x, &[4, 4, 1, 1])?; b.conv(x, w, Conv::default()) }),
    ("C11", &[1, 512, 1, 32], |b, x| b.reduce_mean(x, &[1])),
    ("C12", &[1, 4, 1, 32], |b, x| { let s = b.reduce_sum(x, &[1])?; b.rsqrt(s, 1e-3) }),
    ("C13", &[1, 1, 1, 16_000], |b, x| b.softmax(x, -1)),
    ("C14", &[1, 1, 1, 96], |b, x| { let y = b.square(x)?; b.tanh(y) }),
    ("C15", &[1, 4, 1, 32], |b, x| { let s = b.reduce_sum(x, &[1])?; b.mul(s, 0.0) }),
    ("C16", &[1, 4, 1, 32], |b, x| b.concat(&[x, x], 1, false)),
    ("C17", &[1, 4, 1, 32], |b, x| { let y = b.relu(x)?; b.identity(y) }),
    ("C18", &[1, 4, 1, 32], |b, x| b.tile(x, &[1, 1, 2, 1])),
    ("C22", &[1, 4, 1, 31], |b, x| b.relu(x)),
    ("C23", &[1, 4, 1, 131], |b, x| b.relu(x)),
    ("C28", &[1, 1, 4, 40], |b, x| b.matmul(x, x, MatMul { transpose_x: false, transpose_y: true })),
    ("C29", &[1, 4, 1, 32], |b, x| { let s = b.reduce_sum(x, &[1])?; b.mul(x, s) }),
    ("C30", &[1, 64, 1, 512], |b, x| b.add(x, x)),
    ("C31", &[1, 4, 1, 32], |b, x| { let s = b.reduce_sum(x, &[1])?; let s = b.sqrt(s)?; b.real_div(x, s) }),
    ("C32", &[1, 4, 1, 32], |b, x| b.reshape(x, &[1, 1, 4, 32])),
    ("C33", &[1, 4, 1, 32], |b, x| { let y = b.relu(x)?; let y = b.name(y, "mean")?; b.relu(y) }),
    ("C37", &[1, 4, 1, 64], |b, x| b.slice_by_size(x, &[0, 0, 0, 7], &[1, 4, 1, 32])),
    ("C38", &[1, 4, 1, 64], |b, x| b.slice_by_size(x, &[0, 0, 0, 32], &[1, 4, 1, 32])),
    ("C39", &[1, 2, 32, 32], |b, x| { let m = b.floats(Type::fp16(&[1, 1])?, &[0.0])?; b.scaled_dot_product_attention(x, x, x, Some(m)) }),
    ("C40", &[1, 2, 1, 96], |b, x| b.softmax(x, -1)),
    ("C43", &[1, 2, 1, 32], |b, x| { let g = b.floats(Type::fp16(&[32])?, &[1.0; 32])?; b.layer_norm(x, &[-1], Some(g), None, 1e-3) }),
    ("C44", &[1, 2, 1, 32], |b, x| b.concat(&[x, x], -1, false)),
    ("C45", &[1, 2, 1, 32], |b, x| { let byte = |dims: &[usize]| Literal::from_bytes(Type::new(DType::Uint8, crate::Shape::new(dims)?), vec![1; dims.iter().product()]); let s = Literal::from_floats(Type::scalar(DType::Fp16), &[0.5])?; let w = b.constexpr_affine_dequantize(byte(&[2, 2, 1, 1])?, byte(&[])?, s, 0)?; b.conv(x, w, Conv::default()) }),
    ("C48", &[1, 1, 1, 5_120], |b, x| b.matmul(x, x, MatMul { transpose_x: false, transpose_y: true })),
    ("C52", &[1, 1, 1, 2_720], |b, x| b.matmul(x, x, MatMul { transpose_x: false, transpose_y: true })),
    ("C59", &[1, 2, 1, 32], |b, x| b.add(x, 1e-7)),
    ("C60", &[1, 2, 1, 2_048], |b, x| b.reduce_sum(x, &[3])),
    ("C63", &[1, 2, 1, 32], |b, x| b.add(x, f32::NEG_INFINITY)),
    ("C68", &[1, 2, 1, 32], |b, x| { let bias = b.floats(Type::fp16(&[2])?, &[1.0, 1e-6])?; let w = b.floats(Type::fp16(&[2, 2, 1, 1])?, &[1.0; 4])?; b.conv(x, w, Conv { bias: Some(bias), ..Conv::default() }) }),
    ("C70", &[1, 2, 1, 32], |b, x| b.silu(x)),
    ("C72", &[1, 2, 1, 32], |b, x| { let y = b.cast(x, DType::Int32)?; b.cast(y, DType::Fp16) }),
    ("C78", &[1, 2, 1, 32], |b, mut x| { for _ in 0..387 { x = b.relu(x)?; } Ok(x) }),
    ("C79", &[1, 2, 1, 32], |b, mut x| { for _ in 0..129 { x = b.relu(x)?; } Ok(x) }),
    ("C86", &[1, 2, 1, 32], |b, x| conv(b, x, &[272, 2, 1, 1])),
    ("C89", &[1, 2, 1, 32], |b, x| conv(b, x, &[2, 2, 1, 9])),
    ("C96", &[1, 2, 1, 32], |b, x| b.relu(x)),
    ("C98", &[1, 1, 1, 32], |b, mut x| { for _ in 0..512 { x = conv(b, x, &[1, 1, 1, 1])?; } Ok(x) }),
    ("C100", &[1, 32, 1, 2], |b, x| { let t = b.transpose(x, &[0, 3, 2, 1])?; let y = conv(b, t, &[2, 2, 1, 1])?; b.transpose(y, &[0, 3, 2, 1]) }),
    ("C103", &[1, 2, 1, 32], |b, x| b.l2_norm(x, 1e-3)),
    ("S4.5", &[1, 2, 1, 32], |b, x| b.cumsum(x, 3, false, false)),
];

fn conv(b: &mut Builder, x: Value, dims: &[usize]) -> Result<Value> {
    let count = dims.iter().product();
    let w = b.floats(Type::fp16(dims)?, &vec![0.5; count])?;
    b.conv(x, w, Conv::default())
}

fn hits(program: &Program, id: &str) -> usize {
    let rules = RuleSet::of([id], Limits::default()).unwrap();
    check(program, &rules).len()
}

/// What nothing but rules against everything objects to.
fn plain() -> Program {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&[1, 1, 32, 64]).unwrap()).unwrap();
    let y = b.matmul(x, x, MatMul { transpose_x: true, transpose_y: false }).unwrap();
    b.output("y", y).unwrap();
    Program::new(vec![b.finish().unwrap()])
}

#[test]
fn each_rule_finds_its_fault() {
    for (id, dims, make) in BREAKS {
        let mut b = Builder::new("main", Opset::Ios18);
        let x = b.input("x", Type::fp16(dims).unwrap()).unwrap();
        let y = make(&mut b, x).unwrap_or_else(|e| panic!("{id}: {e}"));
        b.output("y", y).unwrap();
        let program = Program::new(vec![b.finish().unwrap()]);
        assert!(hits(&program, id) > 0, "{id} does not see its fault");
        assert_eq!(hits(&plain(), id), 0, "{id} objects to a plain product");
        let others = RuleSet::of(["C94"], Limits::default()).unwrap();
        assert!(check(&program, &others).is_empty(), "{id}: a rule not in force speaks");
        let text = check(&program, &RuleSet::of([*id], Limits::default()).unwrap())[0].to_string();
        assert!(text.starts_with(id), "{text}");
    }
}

/// Rules about interfaces and weight files, on programs that the builder does not make so.
#[test]
fn interfaces() {
    let program = |inputs: &[(&str, Type)], outputs: &[&str], used: usize| {
        let mut b = Builder::new("main", Opset::Ios18);
        let values: Vec<Value> =
            inputs.iter().map(|(name, ty)| b.input_named(name, *ty).unwrap()).collect();
        for (name, value) in outputs.iter().zip(values.iter().cycle().take(used.max(outputs.len())))
        {
            let y = b.relu(*value).unwrap();
            b.output_named(name, y).unwrap();
        }
        Program::new(vec![b.finish().unwrap()])
    };
    let fp16 = |width| Type::fp16(&[1, 2, 1, width]).unwrap();
    let fp32 = Type::new(DType::Fp32, fp16(32).shape);
    let swapped = program(&[("q", fp16(32)), ("k", fp16(32))], &["b", "a"], 2);
    assert_eq!(hits(&swapped, "C24"), 4);
    let suffix = program(&[("a", fp16(32))], &["y", "y2"], 2);
    assert_eq!(hits(&suffix, "C24"), 2, "`y2@output` sorts before `y@output`");
    let names: Vec<String> = (0..9).map(|i| format!("i{i}")).collect();
    let inputs: Vec<_> = names.iter().map(|name| (name.as_str(), fp16(32))).collect();
    let outputs: Vec<String> = (0..9).map(|i| format!("o{i}")).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let many = program(&inputs, &outputs, 9);
    assert_eq!((hits(&many, "C25"), hits(&many, "C27"), hits(&many, "C24")), (1, 1, 0));
    let falling = program(&[("a", fp16(64)), ("b", fp16(32))], &["o0", "o1"], 2);
    assert_eq!(hits(&falling, "C26"), 1);
    let wide = program(&[("a", fp32)], &["o"], 1);
    assert_eq!((hits(&wide, "C4"), hits(&wide, "C76")), (2, 2));
    let unused = program(&[("a", fp16(32)), ("b", fp16(32))], &["o"], 1);
    assert_eq!(hits(&unused, "S2.4"), 1);
}

#[test]
fn weight_files() {
    let mut b = Builder::new("main", Opset::Ios18);
    let mut x = b.input("x", Type::fp16(&[1, 2, 1, 32]).unwrap()).unwrap();
    for i in 0..17 {
        let w = b.floats(Type::fp16(&[1, 2, 1, 32]).unwrap(), &[i as f32 + 0.5; 64]).unwrap();
        x = b.mul(x, w).unwrap();
    }
    b.output("y", x).unwrap();
    let mut program = Program::new(vec![b.finish().unwrap()]);
    assert_eq!(hits(&program, "C6"), 0);
    crate::blob::Weights::move_out(&mut program, "@model_path/w.bin", 10).unwrap();
    assert_eq!(hits(&program, "C6"), 1);
    let path = crate::BlobRef { path: "@model_path/w.bin".into(), offset: 64 };
    let ty = Type::fp16(&[1, 1, 25_000, 25_000]).unwrap();
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&[1, 1, 32, 25_000]).unwrap()).unwrap();
    let w = b.constant(Literal::from_blob(ty, path).unwrap()).unwrap();
    let y = b.matmul(x, w, MatMul::default()).unwrap();
    b.output("y", y).unwrap();
    let program = Program::new(vec![b.finish().unwrap()]);
    assert_eq!(hits(&program, "C94"), 1);
}

#[test]
fn weights_in_place_of_operands_count_as_well() {
    let with = |count: u32| {
        let mut text = "program(1.3)\n{ func main<ios18>(tensor<fp16, [32]> x0) {\n".to_owned();
        for i in 0..count {
            let blob = format!(
                "BLOBFILE(path = string(\"@model_path/w.bin\"), offset = uint64({}))",
                64 * (i + 1)
            );
            text += &format!(
                "tensor<fp16, [32]> x{} = mul(x = x{i}, y = tensor<fp16, [32]>({blob}));\n",
                i + 1
            );
        }
        crate::text::parse(&format!("{text}}} -> (x{count}); }}")).unwrap()
    };
    assert_eq!(hits(&with(16), "C6"), 0);
    assert_eq!(hits(&with(17), "C6"), 1);
}
