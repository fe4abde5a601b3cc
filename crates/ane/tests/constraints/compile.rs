//! What compilers refuse.

use aneal_ane::Profile;
use aneal_ane::engine::{Engine, Source};
use aneal_mil::{Builder, Conv, DType, MatMul, Opset, Result, Shape, Type, Value};

use crate::programs::{constraint, filled, function, refused, refusing};
use crate::session::{engine, source};

const DIMS: [usize; 4] = [1, 4, 1, 32];

fn conv(b: &mut Builder, x: Value, dims: &[usize]) -> Result<Value> {
    let w = filled(b, dims, 0.5)?;
    b.conv(x, w, Conv::default())
}

/// The same operation, so often.
fn chain(length: usize) -> aneal_mil::Function {
    function(&DIMS, |b, mut x| {
        for _ in 0..length {
            x = b.relu(x)?;
        }
        Ok(x)
    })
}

#[test]
fn c002_axes_are_limited() {
    let relu = |width| source(function(&[1, 1, 1, width], |b, x| b.relu(x)));
    assert_eq!(refusing(2, &relu(17_920)), ["m1", "m3-pro", "m3-ultra", "strict"]);
    assert!(refusing(2, &relu(16_384)).is_empty());
    assert_eq!(refusing(2, &relu(65_537)), constraint(2).profiles().unwrap());
}

#[test]
fn c003_large_programs_that_slice_inputs() {
    let sliced = |count| {
        function(&[1, 32, 1, 64], move |b, x| {
            let mut y = b.slice_by_size(x, &[0; 4], &[1, 32, 1, 32])?;
            for _ in 0..count {
                y = b.relu(y)?;
            }
            Ok(y)
        })
    };
    refused(3, sliced(70), sliced(35));
}

#[test]
fn c004_an_interface_in_fp32() {
    let of = |dtype| {
        let mut b = Builder::new("main", Opset::Ios18);
        let x = b.input("x", Type::new(dtype, Shape::new(&DIMS).unwrap())).unwrap();
        let y = b.cast(x, DType::Fp16).unwrap();
        let y = b.relu(y).unwrap();
        b.output("y", y).unwrap();
        b.finish().unwrap()
    };
    refused(4, of(DType::Fp32), of(DType::Fp16));
}

#[test]
fn c005_transposes_of_rank_five_in_products() {
    let product = |dims: &[usize]| {
        let rank = dims.len() as i64;
        function(dims, move |b, x| {
            let order: Vec<i64> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
            let t = b.transpose(x, &order)?;
            b.matmul(x, t, MatMul::default())
        })
    };
    refused(5, product(&[1, 2, 3, 4, 32]), product(&[2, 3, 4, 32]));
}

#[test]
fn c006_weight_blobs() {
    let blobs = |count: usize| {
        function(&[1, 2, 1, 32], move |b, mut x| {
            for at in 0..count {
                let w = filled(b, &[1, 2, 1, 32], at as f32 + 0.5)?;
                x = b.mul(x, w)?;
            }
            Ok(x)
        })
    };
    refused(6, blobs(17), blobs(16));
}

#[test]
fn c007_wide_windows() {
    let window = |width: usize| function(&[1, 2, 1, 64], move |b, x| conv(b, x, &[2, 2, 1, width]));
    refused(7, window(16), window(13));
    assert_eq!(refusing(7, &source(window(14))), ["m1", "strict"]);
}

#[test]
fn c008_many_input_channels() {
    let inputs =
        |count: usize| function(&[1, count, 1, 32], move |b, x| conv(b, x, &[2, count, 1, 1]));
    refused(8, inputs(32_000), inputs(16_384));
    // The classifier forward, with as many outputs, passes.
    let forward = function(&[1, 2, 1, 32], |b, x| conv(b, x, &[32_000, 2, 1, 1]));
    assert!(refusing(8, &source(forward)).is_empty());
}

#[test]
fn c009_many_output_channels() {
    let outputs =
        |count: usize| function(&[1, 1, 1, 32], move |b, x| conv(b, x, &[count, 1, 1, 1]));
    refused(9, outputs(62_081), outputs(62_080));
}

#[test]
fn c011_folds_over_channels() {
    let fold = |axis: i64| function(&[1, 512, 1, 32], move |b, x| b.reduce_mean(x, &[axis]));
    refused(11, fold(1), fold(3));
}

#[test]
fn c012_rsqrt_behind_a_fold() {
    let root = |power: bool| {
        function(&DIMS, move |b, x| {
            let sum = b.reduce_sum(x, &[3])?;
            if power { b.pow(sum, -0.5) } else { b.rsqrt(sum, 1e-3) }
        })
    };
    refused(12, root(false), root(true));
}

#[test]
fn c014_square_before_a_nonlinearity() {
    let square = |width: usize| {
        function(&[1, 1, 1, width], |b, x| {
            let y = b.square(x)?;
            b.tanh(y)
        })
    };
    refused(14, square(96), square(64));
}

#[test]
fn c015_a_fold_times_zero() {
    let times = |factor: f32| {
        function(&DIMS, move |b, x| {
            let sum = b.reduce_sum(x, &[3])?;
            b.mul(sum, factor)
        })
    };
    refused(15, times(0.0), times(0.5));
}

#[test]
fn c016_joins() {
    refused(
        16,
        function(&DIMS, |b, x| b.concat(&[x, x], 1, false)),
        function(&DIMS, |b, x| b.add(x, x)),
    );
}

/// A program in text, which every profile refuses as none, and one that differs in a place.
fn no_program(right: &str, wrong: &str) {
    let text = |inside: &str| {
        let text =
            format!("program(1.3)\n{{\n    func main<ios18>{inside};\n    }} -> (y0);\n}}\n");
        Source { text, ..Source::default() }
    };
    for profile in Profile::names() {
        let error = engine(profile).compile(&text(wrong)).err().unwrap();
        let failure = error.failure().unwrap();
        assert_eq!(
            failure.underlying.as_deref(),
            Some("InvalidMILProgram"),
            "{profile}: {failure}"
        );
    }
    engine("m4").compile(&text(right)).unwrap();
}

const RELU: &str = "(tensor<fp16, [1, 4, 1, 32]> x0) {
        tensor<fp16, [1, 4, 1, 32]> y0 = relu(x = x0)[name = string(\"y0\")]";

#[test]
fn c019_types_that_do_not_follow() {
    no_program(RELU, &RELU.replace("32]> y0", "64]> y0"));
}

#[test]
fn c020_shapes_that_are_computed() {
    let reshaped = "(tensor<fp16, [1, 4, 1, 32]> x0) {
        tensor<int32, [4]> s = const()[name = string(\"s\"), val = tensor<int32, [4]>([1, 2, 2, 32])];
        tensor<int32, [4]> t = mul(x = s, y = int32(1))[name = string(\"t\")];
        tensor<fp16, [1, 2, 2, 32]> y0 = reshape(shape = s, x = x0)[name = string(\"y0\")]";
    no_program(reshaped, &reshaped.replace("shape = s", "shape = t"));
}

#[test]
fn c032_nothing_but_products_and_elements() {
    refused(
        32,
        function(&DIMS, |b, x| b.reshape(x, &[1, 1, 4, 32])),
        function(&DIMS, |b, x| b.add(x, x)),
    );
}

#[test]
fn c040_softmax_over_no_power_of_two() {
    let softmax = |width: usize| function(&[1, 2, 1, width], |b, x| b.softmax(x, -1));
    refused(40, softmax(96), softmax(128));
}

#[test]
fn c043_a_norm_with_gain_and_no_shift() {
    let norm = |both: bool| {
        function(&[1, 2, 1, 32], move |b, x| {
            let (gain, shift) = (filled(b, &[32], 1.0)?, filled(b, &[32], 0.5)?);
            b.layer_norm(x, &[-1], Some(gain), both.then_some(shift), 1e-3)
        })
    };
    refused(43, norm(false), norm(true));
}

#[test]
fn c044_joins_along_the_width() {
    let join = |axis: i32| function(&DIMS, move |b, x| b.concat(&[x, x], axis, false));
    refused(44, join(-1), join(1));
}

#[test]
fn c072_integers_inside() {
    let through = |dtype: DType| {
        function(&DIMS, move |b, x| {
            let y = b.cast(x, dtype)?;
            b.cast(y, DType::Fp16)
        })
    };
    refused(72, through(DType::Int32), through(DType::Fp32));
}

#[test]
fn c074_states() {
    no_program(RELU, &RELU.replace("relu(x = x0)", "read_state(input = x0)"));
    no_program(
        RELU,
        &RELU.replace("tensor<fp16, [1, 4, 1, 32]> x0", "state<tensor<fp16, [1, 4, 1, 32]>> x0"),
    );
}

#[test]
fn c075_inputs_without_dimensions() {
    no_program(&RELU.replace("[1, 4, 1, 32]", "[1]"), &RELU.replace("[1, 4, 1, 32]", "[]"));
    no_program(RELU, &RELU.replace("tensor<fp16, [1, 4, 1, 32]>", "fp16"));
}

#[test]
fn c077_shapes_that_are_open() {
    no_program(RELU, &RELU.replace("[1, 4, 1, 32]", "[1, 4, 1, ?]"));
}

#[test]
fn c078_long_chains() {
    refused(78, chain(387), chain(386));
}
