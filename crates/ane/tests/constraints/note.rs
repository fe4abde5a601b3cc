//! What the linter notes and engines run.

use aneal_ane::Profile;
use aneal_mil::{
    BlobRef, Builder, Conv, DType, Function, Literal, MatMul, Opset, Result, Shape, Type, Value,
};

use crate::programs::{filled, function, functions, noted, run};

const DIMS: [usize; 4] = [1, 4, 1, 32];

fn relu() -> Function {
    function(&DIMS, |b, x| b.relu(x))
}

/// `[1, K]` by its own transpose.
fn product(inner: usize) -> Function {
    let by_itself = MatMul { transpose_x: false, transpose_y: true };
    function(&[1, 1, 1, inner], move |b, x| b.matmul(x, x, by_itself))
}

fn conv(b: &mut Builder, x: Value, dims: &[usize]) -> Result<Value> {
    let w = filled(b, dims, 0.5)?;
    b.conv(x, w, Conv::default())
}

fn sum(dims: [&[usize]; 2]) -> Function {
    functions(&dims, |b, inputs| {
        let parts = [0, 1].map(|at| b.slice_by_size(inputs[at], &[0; 4], &[1, 4, 1, 32]));
        let [x, y] = parts;
        b.add(x?, y?)
    })
}

#[test]
fn c026_sizes_that_fall() {
    let wide = [1, 4, 1, 64];
    noted(26, sum([&wide, &DIMS]), sum([&DIMS, &wide]));
}

#[test]
fn c027_several_inputs() {
    noted(27, sum([&DIMS, &DIMS]), relu());
}

#[test]
fn c045_bytes_without_sign() {
    let packed = |dtype: DType| {
        function(&[1, 2, 1, 32], move |b, x| {
            let byte = |dims: &[usize]| {
                let ty = Type::new(dtype, Shape::new(dims)?);
                Literal::from_bytes(ty, vec![1; dims.iter().product()])
            };
            let scale = Literal::from_floats(Type::scalar(DType::Fp16), &[0.5])?;
            let w = b.constexpr_affine_dequantize(byte(&[2, 2, 1, 1])?, byte(&[])?, scale, 0)?;
            b.conv(x, w, Conv::default())
        })
    };
    noted(45, packed(DType::Uint8), packed(DType::Int8));
}

#[test]
fn c048_sums_of_5120_channels() {
    noted(48, product(5_120), product(5_088));
}

#[test]
fn c052_long_sums() {
    noted(52, product(2_720), product(2_688));
}

#[test]
fn c060_folds_of_many_terms() {
    let fold = |width: usize| function(&[1, 2, 1, width], |b, x| b.reduce_sum(x, &[3]));
    noted(60, fold(4_096), fold(1_024));
    // Summed in fp16, so many ones are something else on every device; as a product they are right.
    // `strict` refuses folds (C32).
    const TERMS: usize = 3_008;
    let folded = function(&[1, 32, 1, TERMS], |b, x| {
        let sum = b.reduce_sum(x, &[3])?;
        let zeros = filled(b, &[1, 32], 0.0)?;
        b.add(sum, zeros)
    });
    let product = function(&[1, 1, 32, TERMS], |b, x| {
        let ones = filled(b, &[1, 1, TERMS, 32], 1.0)?;
        b.matmul(x, ones, MatMul::default())
    });
    let ones = [1.0; 32 * TERMS];
    for profile in Profile::names().filter(|profile| *profile != "strict") {
        let folded = run(profile, &folded, &[&ones]).unwrap();
        assert!((folded[0] - TERMS as f32).abs() > 500.0, "{profile}: {}", folded[0]);
        let product = run(profile, &product, &[&ones]).unwrap();
        assert_eq!(product[0], TERMS as f32, "{profile}");
    }
}

#[test]
fn c070_functions_from_coarse_tables() {
    let composed = |b: &mut Builder, x: Value| {
        let sigmoid = b.sigmoid(x)?;
        b.mul(x, sigmoid)
    };
    noted(70, function(&DIMS, |b, x| b.silu(x)), function(&DIMS, composed));
    // The native function is further from the formula than its parts are, on devices with tables.
    let values: Vec<f32> = (0..128).map(|at| (at as f32 - 64.0) / 16.0).collect();
    for (profile, tables) in [("m4", true), ("m6", true), ("m3-ultra", false), ("m1", false)] {
        let found = run(profile, &function(&DIMS, |b, x| b.silu(x)), &[&values]).unwrap();
        let error = found.iter().zip(&values).map(|(y, x)| (y - x / (1.0 + (-x).exp())).abs());
        let error = error.fold(0.0, f32::max);
        assert_eq!(error > 2e-3, tables, "{profile}: {error}");
        assert!(error < 1.6e-2, "{profile}: {error}");
    }
}

#[test]
fn c076_an_interface_in_fp32() {
    let of = |dtype| {
        let mut b = Builder::new("main", Opset::Ios18);
        let x = b.input("x", Type::new(dtype, Shape::new(&DIMS).unwrap())).unwrap();
        let y = b.cast(x, DType::Fp16).unwrap();
        let y = b.relu(y).unwrap();
        b.output("y", y).unwrap();
        b.finish().unwrap()
    };
    noted(76, of(DType::Fp32), of(DType::Fp16));
}

#[test]
fn c089_windows_wider_than_8() {
    let window = |width: usize| function(&DIMS, move |b, x| conv(b, x, &[2, 4, 1, width]));
    noted(89, window(9), window(8));
}

#[test]
fn c094_constants_beyond_a_gigabyte() {
    let of = |side: usize| {
        function(&[1, 1, 32, side], move |b, x| {
            let place = BlobRef { path: "@model_path/w.bin".into(), offset: 64 };
            let w = Literal::from_blob(Type::fp16(&[1, 1, side, side])?, place)?;
            let w = b.constant(w)?;
            b.matmul(x, w, MatMul::default())
        })
    };
    noted(94, of(25_000), of(20_000));
}

#[test]
fn c096_a_last_operation_on_elements() {
    noted(96, relu(), product(64));
}

#[test]
fn c098_hundreds_of_convolutions() {
    let stack = |count: usize| {
        function(&[1, 1, 1, 32], move |b, mut x| {
            for _ in 0..count {
                x = conv(b, x, &[1, 1, 1, 1])?;
            }
            Ok(x)
        })
    };
    noted(98, stack(512), stack(256));
}

#[test]
fn c100_a_convolution_between_transposes() {
    let turned = |there: bool| {
        function(&[1, 32, 1, 64], move |b, x| {
            let x = b.transpose(x, &[0, 3, 2, 1])?;
            let y = conv(b, x, &[32, 64, 1, 1])?;
            if there { b.transpose(y, &[0, 3, 2, 1]) } else { Ok(y) }
        })
    };
    noted(100, turned(true), turned(false));
}

#[test]
fn c103_native_norms() {
    let composed = |b: &mut Builder, x: Value| {
        let squares = b.mul(x, x)?;
        let sum = b.reduce_sum(squares, &[1, 2, 3])?;
        let sum = b.add(sum, 1e-3)?;
        let root = b.pow(sum, -0.5)?;
        b.mul(x, root)
    };
    noted(103, function(&DIMS, |b, x| b.l2_norm(x, 1e-3)), function(&DIMS, composed));
}
