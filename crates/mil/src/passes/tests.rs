//! Each pass removes or replaces what it is for, and keeps what the function computes.

use std::collections::BTreeMap;

use super::*;
use crate::blob::Weights;
use crate::eval::{Exact, Tensor, evaluate};
use crate::program::Function;
use crate::{Builder, DType, Literal, Opset, Program, Type, Value, check};

type Make = fn(&mut Builder, Value) -> crate::Result<Value>;

fn function(dims: &[usize], make: Make) -> Function {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(dims).unwrap()).unwrap();
    let y = make(&mut b, x).unwrap();
    b.output("y", y).unwrap();
    b.finish().unwrap()
}

fn count(function: &Function, op: &str) -> usize {
    function.operations.iter().filter(|operation| operation.def.name == op).count()
}

fn run(function: &Function) -> Tensor {
    let id = function.input_ids().next().unwrap();
    let ty = function.ty(id);
    let width = ty.shape.width();
    // The same values in the same columns, whatever the width.
    let values: Vec<f32> = (0..ty.shape.elements())
        .map(|at| ((at % width) as f32 * 0.37 + (at / width) as f32).sin().abs() + 0.1)
        .collect();
    let x = Tensor::from_floats(ty, &values).unwrap();
    let inputs = BTreeMap::from([(function.value(id).name.clone(), x)]);
    evaluate(function, &Weights::new(), &inputs, &Exact).unwrap().remove("o00_y").unwrap()
}

/// A pass on a function, with what must be gone and what must have come.
#[track_caller]
fn pass(
    dims: &[usize],
    make: Make,
    pass: fn(&Function) -> crate::Result<Function>,
    gone: &[(&str, usize)],
) -> Function {
    let before = function(dims, make);
    let after = pass(&before).unwrap();
    check(&Program::new(vec![after.clone()])).unwrap();
    for (op, left) in gone {
        assert_eq!(count(&after, op), *left, "{op}");
    }
    let (want, got) = (run(&before), run(&after));
    assert_eq!(want.ty, got.ty);
    for (w, g) in want.values.iter().zip(&got.values) {
        // One place of fp16: factors such as 1/n are rounded to it.
        assert!((w - g).abs() <= 1e-3 * w.abs().max(1e-3), "{g} for {w}");
    }
    after
}

#[test]
fn dead_operations_and_their_constants_go() {
    let make: Make = |b, x| {
        let dead = b.mul(x, 3.0)?;
        b.softmax(dead, -1)?;
        b.add(x, 1.0)
    };
    let after = pass(&[1, 4, 1, 32], make, dead_code, &[("mul", 0), ("softmax", 0), ("add", 1)]);
    assert_eq!(count(&after, "const"), 1);
}

#[test]
fn what_changes_nothing_goes() {
    let make: Make = |b, x| {
        let y = b.identity(x)?;
        let y = b.reshape(y, &[1, 4, 1, 32])?;
        let y = b.transpose(y, &[0, 1, 2, 3])?;
        let y = b.cast(y, DType::Fp16)?;
        let y = b.relu(y)?;
        b.identity(y)
    };
    let gone = [("identity", 0), ("reshape", 0), ("transpose", 0), ("cast", 0), ("relu", 1)];
    pass(&[1, 4, 1, 32], make, remove_identity, &gone);
    // An input cannot be returned, so its copy stays.
    pass(&[1, 4, 1, 32], |b, x| b.identity(x), remove_identity, &[("identity", 1)]);
}

#[test]
fn one_value_returned_twice_keeps_its_copies() {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&[1, 4, 1, 32]).unwrap()).unwrap();
    let y = b.relu(x).unwrap();
    let (first, second) = (b.identity(y).unwrap(), b.identity(y).unwrap());
    b.output("a", first).unwrap();
    b.output("b", second).unwrap();
    let after = remove_identity(&b.finish().unwrap()).unwrap();
    check(&Program::new(vec![after.clone()])).unwrap();
    assert_eq!((count(&after, "identity"), after.outputs.len()), (1, 2));
}

#[test]
fn what_is_known_is_computed() {
    let make: Make = |b, x| {
        let a = b.constant(Literal::int32_list(&[1, 2])?)?;
        let a = b.add(a, a)?;
        let scale = b.cast(a, DType::Fp16)?;
        let scale = b.reduce_sum(scale, &[0])?;
        b.mul(x, scale)
    };
    let gone = [("cast", 0), ("reduce_sum", 0), ("add", 0), ("mul", 1)];
    let after = pass(&[1, 4, 1, 32], make, fold_constants, &gone);
    let after = dead_code(&after).unwrap();
    assert_eq!(count(&after, "const"), 1, "only the folded scale is left");
}

#[test]
fn reciprocal_roots_become_powers() {
    let make: Make = |b, x| b.rsqrt(x, 1e-3);
    pass(&[1, 4, 1, 32], make, rsqrt_to_pow, &[("rsqrt", 0), ("add", 1), ("pow", 1)]);
    pass(&[1, 4, 1, 32], |b, x| b.rsqrt(x, 0.0), rsqrt_to_pow, &[("add", 0), ("pow", 1)]);
}

#[test]
fn folds_become_products() {
    for (axis, dims) in
        [(1, &[1, 24, 1, 32][..]), (-1, &[2, 3, 4, 32]), (2, &[2, 3, 4, 32]), (0, &[4, 8])]
    {
        let sum: Make = match axis {
            1 => |b, x| b.reduce_sum(x, &[1]),
            -1 => |b, x| b.reduce_mean(x, &[-1]),
            2 => |b, x| b.reduce_mean(x, &[2]),
            _ => |b, x| b.reduce_sum(x, &[0]),
        };
        let gone = [("reduce_sum", 0), ("reduce_mean", 0), ("matmul", 1)];
        pass(dims, sum, reduce_by_matmul, &gone);
    }
    // Channels of an image with rows are no matrix.
    let make: Make = |b, x| b.reduce_sum(x, &[1]);
    pass(&[1, 4, 3, 32], make, reduce_by_matmul, &[("reduce_sum", 1), ("matmul", 0)]);
}

#[test]
fn narrow_interfaces_are_widened() {
    let make: Make = |b, x| b.softmax(x, -1);
    let before = function(&[1, 4, 1, 17], make);
    let after = pad_width(&before).unwrap();
    check(&Program::new(vec![after.clone()])).unwrap();
    for id in after.input_ids().chain(after.outputs.clone()) {
        assert_eq!(after.ty(id).shape.dims(), [1, 4, 1, 32]);
    }
    let (narrow, wide) = (
        run(&function(&[1, 4, 1, 32], |b, x| {
            let cut = b.slice_by_size(x, &[0; 4], &[1, 4, 1, 17])?;
            b.softmax(cut, -1)
        })),
        run(&after),
    );
    for (row, want) in narrow.values.chunks(17).enumerate() {
        assert_eq!(&wide.values[row * 32..row * 32 + 17], want);
        assert!(wide.values[row * 32 + 17..(row + 1) * 32].iter().all(|&v| v == 0.0));
    }
    let same = function(&[1, 4, 1, 64], make);
    assert_eq!(pad_width(&same).unwrap(), same);
}

#[test]
fn names_differ_over_functions() {
    let mut other = function(&[1, 4, 1, 32], |b, x| b.relu(x));
    other.name = "other".to_owned();
    let mut program = Program::new(vec![function(&[1, 4, 1, 32], |b, x| b.relu(x)), other]);
    unique_names(&mut program);
    let names: Vec<_> = program
        .functions
        .iter()
        .flat_map(|f| &f.operations)
        .map(|op| op.attribute("name").unwrap().strings().unwrap()[0].clone())
        .collect();
    assert_eq!(names, ["o00_y", "o00_y_2"]);
    check(&program).unwrap();
}
