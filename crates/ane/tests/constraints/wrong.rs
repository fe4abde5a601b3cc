//! What devices compute wrongly.

use aneal_mil::{Builder, Conv, DType, Function, MatMul, Opset, Shape, Type};

use crate::programs::{all, compared, constraint, fill, filled, function, functions, output, run};
use crate::session::{Session, engine, halves, source};

const DIMS: [usize; 4] = [1, 4, 1, 32];
const SQUARE: [usize; 4] = [1, 1, 32, 32];

#[test]
fn c010_a_weight_that_is_an_input_is_ignored() {
    let f = functions(&[&[1, 32, 1, 32], &[1, 32, 1, 32]], |b, inputs| {
        let weight = b.reshape(inputs[1], &[32, 32, 1, 1])?;
        let bias = filled(b, &[32], 0.5)?;
        b.conv(inputs[0], weight, Conv { bias: Some(bias), ..Conv::default() })
    });
    compared(10, &f, &[&[1.0; 1024], &[1.0; 1024]], all(0.5), all(32.5));
}

#[test]
fn c013_long_rows_are_normalised_by_tiles() {
    let softmax = |width: usize| function(&[1, 1, 1, width], |b, x| b.softmax(x, -1));
    let total = |want: f32| move |out: &[f32]| (out.iter().sum::<f32>() - want).abs() < 0.05;
    compared(13, &softmax(16_000), &[&[1.0; 16_000]], total(2.0), total(1.0));
    let short = run("m3-ultra", &softmax(14_376), &[&[1.0; 14_376]]).unwrap();
    assert!(total(1.0)(&short));
}

#[test]
fn c017_identity_as_the_only_output() {
    let f = function(&DIMS, |b, x| {
        let y = b.relu(x)?;
        b.identity(y)
    });
    let nan = |out: &[f32]| out.iter().all(|v| v.is_nan());
    compared(17, &f, &[&[3.0; 128]], nan, all(3.0));
}

#[test]
fn c018_softplus_of_large_values() {
    let f = function(&DIMS, |b, x| b.softplus(x));
    compared(18, &f, &[&[12.0; 128]], all_infinite, all(12.0));
    let small = run("m4", &f, &[&[10.0; 128]]).unwrap();
    assert!(all(10.0)(&small), "up to 10.4 it is right: {small:?}");
}

fn all_infinite(out: &[f32]) -> bool {
    out.iter().all(|v| *v == f32::INFINITY)
}

#[test]
fn c022_narrow_rows_are_zeros() {
    let turned = |dims: [usize; 4]| function(&dims, |b, x| b.transpose(x, &[0, 1, 3, 2]));
    // Narrow as it comes in, and as it goes out.
    compared(22, &turned([1, 1, 32, 16]), &[&[3.0; 512]], all(0.0), all(3.0));
    compared(22, &turned([1, 1, 16, 32]), &[&[3.0; 512]], all(0.0), all(3.0));
    let wide = run("m4", &turned(SQUARE), &[&[3.0; 1024]]).unwrap();
    assert!(all(3.0)(&wide));
    // Inside of a program widths are free.
    let inside = function(&DIMS, |b, x| {
        let y = b.reshape(x, &[1, 32, 1, 4])?;
        let y = b.add(y, 1.0)?;
        b.reshape(y, &[1, 4, 1, 32])
    });
    assert!(all(4.0)(&run("m4", &inside, &[&[3.0; 128]]).unwrap()));
}

#[test]
fn c022_fp32_rows_are_narrow_below_16() {
    let of = |width: usize| {
        let mut b = Builder::new("main", Opset::Ios18);
        let ty = Type::new(DType::Fp32, Shape::new(&[1, 4, 1, width]).unwrap());
        let x = b.input("x", ty).unwrap();
        let y = b.cast(x, DType::Fp16).unwrap();
        let y = b.add(y, 1.0).unwrap();
        let y = b.cast(y, DType::Fp32).unwrap();
        b.output("y", y).unwrap();
        b.finish().unwrap()
    };
    for (profile, width, want) in [("m4", 8, 0.0), ("m4", 16, 1.0), ("m3-ultra", 8, 1.0)] {
        let session = Session::new(&engine(profile), &source(of(width))).unwrap();
        session.kernel.evaluate(&session.request()).unwrap();
        let bytes = session.outputs[0].read().unwrap();
        let first = f32::from_le_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(first, want, "{profile}, width {width}");
    }
}

#[test]
fn c023_rows_are_read_at_their_stride() {
    let f = function(&[1, 4, 1, 48], |b, x| b.mul(x, -1.0));
    let values: Vec<f32> = (0..192).map(|at| at as f32).collect();
    for profile in constraint(23).profiles().unwrap() {
        let session = Session::new(&engine(&profile), &source(f.clone())).unwrap();
        fill(&session, &[&values]);
        session.kernel.evaluate(&session.request()).unwrap();
        assert_eq!(output(&session)[48..50], [-48.0, -49.0], "{profile}: rows of 128 bytes");
        let mut bytes = session.inputs[0].write().unwrap();
        bytes[..384].copy_from_slice(bytemuck::cast_slice(&halves(&values)));
        drop(bytes);
        session.kernel.evaluate(&session.request()).unwrap();
        assert_eq!(output(&session)[48..50], [-64.0, -65.0], "{profile}: packed tightly");
    }
}

/// `first - 2 second`, the inputs of that name in this order.
fn difference(first: &str, second: &str) -> Function {
    let mut b = Builder::new("main", Opset::Ios18);
    let ty = Type::fp16(&DIMS).unwrap();
    let (x, y) = (b.input_named(first, ty).unwrap(), b.input_named(second, ty).unwrap());
    let twice = b.mul(y, 2.0).unwrap();
    let z = b.sub(x, twice).unwrap();
    b.output("z", z).unwrap();
    b.finish().unwrap()
}

#[test]
fn c024_symbols_are_in_the_order_of_names() {
    for profile in constraint(24).profiles().unwrap() {
        let inputs: [&[f32]; 2] = [&[5.0; 128], &[1.0; 128]];
        let right = run(&profile, &difference("a", "q"), &inputs).unwrap();
        assert!(all(3.0)(&right), "{profile}");
        // The same surfaces in the order of the text: swapped, without an error.
        let wrong = run(&profile, &difference("q", "a"), &inputs).unwrap();
        assert!(all(-9.0)(&wrong), "{profile}");
    }
}

/// The last input less the others, all of that width but the last.
fn many_inputs(count: usize, last: usize) -> Function {
    let mut dims = vec![[1, 4, 1, 32]; count];
    dims[count - 1][3] = last;
    let dims: Vec<&[usize]> = dims.iter().map(|dims| &dims[..]).collect();
    functions(&dims, |b, inputs| {
        let (last, others) = inputs.split_last().unwrap();
        let mut y = b.slice_by_size(*last, &[0; 4], &[1, 4, 1, 32])?;
        for other in others {
            y = b.sub(y, *other)?;
        }
        Ok(y)
    })
}

#[test]
fn c025_inputs_past_the_eighth() {
    let ones = [1.0; 128];
    let last = [100.0; 128];
    let mut inputs: Vec<&[f32]> = vec![&ones; 8];
    inputs.push(&last);
    // 100 - 8, and 1 - 7 - 100 with the last two exchanged.
    compared(25, &many_inputs(9, 32), &inputs, all(-106.0), all(92.0));
    inputs.remove(0);
    assert!(all(93.0)(&run("m4", &many_inputs(8, 32), &inputs).unwrap()), "eight are fine");
    // None lies like the last.
    for (profile, fails) in [("m4", true), ("m3-ultra", false)] {
        let session = Session::new(&engine(profile), &source(many_inputs(9, 64))).unwrap();
        let result = session.kernel.evaluate(&session.request());
        let reason = result.err().map(|error| error.failure().unwrap().clone());
        assert_eq!(reason.is_some(), fails, "{profile}");
        if let Some(failure) = reason {
            assert!(failure.text.contains("0x1d") && failure.reasons[0].constraint == "C25");
        }
    }
}

#[test]
fn c028_inner_dimensions_of_no_multiple_of_32() {
    let product = |inner: usize| {
        functions(&[&[1, 1, 32, inner], &[1, 1, inner, 32]], |b, inputs| {
            b.matmul(inputs[0], inputs[1], MatMul::default())
        })
    };
    let ones = [1.0; 40 * 32];
    compared(28, &product(40), &[&ones, &ones], all(0.0), all(40.0));
    let ones = [1.0; 64 * 32];
    assert!(all(64.0)(&run("m1", &product(64), &[&ones, &ones]).unwrap()));
}

#[test]
fn c029_a_channel_that_is_repeated() {
    let f = functions(&[&DIMS, &[1, 1, 1, 32]], |b, inputs| b.mul(inputs[0], inputs[1]));
    let first = |out: &[f32]| all(6.0)(&out[..32]) && all(0.0)(&out[32..]);
    compared(29, &f, &[&[2.0; 128], &[3.0; 32]], first, all(6.0));
    let constant = function(&DIMS, |b, x| {
        let mask = filled(b, &[1, 1, 1, 32], 3.0)?;
        b.mul(x, mask)
    });
    assert!(all(6.0)(&run("m1", &constant, &[&[2.0; 128]]).unwrap()), "constants are repeated");
}

#[test]
fn c030_many_elements() {
    let add = |channels: usize| function(&[1, channels, 1, 512], |b, x| b.add(x, x));
    let values: Vec<f32> = (0..64 * 512).map(|at| if at < 16_384 { 1.0 } else { 2.0 }).collect();
    let right = |out: &[f32]| all(2.0)(&out[..16_384]) && all(4.0)(&out[16_384..]);
    compared(30, &add(64), &[&values], all(2.0), right);
    assert!(all(2.0)(&run("m1", &add(32), &[&values[..16_384]]).unwrap()));
}

#[test]
fn c031_a_root_that_broadcasts() {
    let quotient = |power: bool| {
        functions(&[&[1, 4, 32, 32], &DIMS], move |b, inputs| {
            let root = if power { b.pow(inputs[1], 0.5)? } else { b.sqrt(inputs[1])? };
            b.real_div(inputs[0], root)
        })
    };
    // 4 / sqrt(9), and 9 / sqrt(4).
    let inputs: [&[f32]; 2] = [&[4.0; 4096], &[9.0; 128]];
    compared(31, &quotient(false), &inputs, all(4.5), all(4.0 / 3.0));
    assert!(all(4.0 / 3.0)(&run("m1", &quotient(true), &inputs).unwrap()));
}

#[test]
fn c033_reserved_names() {
    let named = |name: &'static str| {
        function(&DIMS, move |b, x| {
            let y = b.relu(x)?;
            let y = b.name(y, name)?;
            b.add(y, 1.0)
        })
    };
    compared(33, &named("mean"), &[&[3.0; 128]], all(1.0), all(4.0));
    assert!(all(4.0)(&run("m1", &named("average"), &[&[3.0; 128]]).unwrap()));
    // A constant of such a name counts for nothing as well.
    let constant = function(&DIMS, |b, x| {
        let c = filled(b, &DIMS, 2.0)?;
        let c = b.name(c, "c")?;
        b.add(x, c)
    });
    compared(33, &constant, &[&[3.0; 128]], all(3.0), all(5.0));
}

#[test]
fn c035_weights_buffers_and_procedure_indices() {
    for profile in constraint(35).profiles().unwrap() {
        let engine = engine(&profile);
        let session = Session::new(&engine, &source(difference("a", "q"))).unwrap();
        fill(&session, &[&[5.0; 128], &[1.0; 128]]);
        let mut request = session.request().of(15);
        request.weights_buffer = Some(aneal_ane::Engine::surface(&engine, 4096).unwrap());
        session.kernel.evaluate(&request).unwrap();
        assert!(all(3.0)(&output(&session)), "{profile}");
    }
}

/// 32 columns from `begin` on.
fn columns(begin: i64) -> Function {
    function(&[1, 4, 1, 96], move |b, x| b.slice_by_size(x, &[0, 0, 0, begin], &[1, 4, 1, 32]))
}

#[test]
fn c037_slices_at_odd_columns() {
    let error = |out: &[f32]| {
        let squares: f32 = out.iter().map(|v| (v - 1.0).powi(2)).sum();
        (squares / out.len() as f32).sqrt()
    };
    let noisy = |out: &[f32]| (0.015..=0.02).contains(&error(out));
    compared(37, &columns(7), &[&[1.0; 384]], noisy, all(1.0));
    let again = [0, 1].map(|_| run("m3-ultra", &columns(7), &[&[1.0; 384]]).unwrap());
    assert_eq!(again[0], again[1], "the same error every time");
    assert!(all(1.0)(&run("m3-ultra", &columns(64), &[&[1.0; 384]]).unwrap()));
}

#[test]
fn c038_large_values_in_later_columns() {
    compared(
        38,
        &columns(32),
        &[&[-4_096.0; 384]],
        |out| out.iter().all(|v| *v == f32::NEG_INFINITY),
        all(-4_096.0),
    );
    assert!(all(4_094.0)(&run("m1", &columns(32), &[&[4_094.0; 384]]).unwrap()));
    assert!(all(8_192.0)(&run("m1", &columns(0), &[&[8_192.0; 384]]).unwrap()));
}

#[test]
fn c039_the_mask_of_the_attention_operation() {
    let f = function(&SQUARE, |b, x| {
        // Every token sees the first alone.
        let mask: Vec<f32> =
            (0..1024).map(|at| if at % 32 == 0 { 0.0 } else { -65_504.0 }).collect();
        let mask = b.floats(Type::fp16(&SQUARE)?, &mask)?;
        let query = b.mul(x, 0.0)?;
        b.scaled_dot_product_attention(query, query, x, Some(mask))
    });
    let values: Vec<f32> = (0..1024).map(|at| if at < 32 { 32.0 } else { 0.0 }).collect();
    compared(39, &f, &[&values], all(1.0), all(32.0));
}

#[test]
fn c091_rows_of_outputs_are_padded() {
    let f = function(&[1, 2, 1, 200], |b, x| b.mul(x, -1.0));
    for profile in constraint(91).profiles().unwrap() {
        let session = Session::new(&engine(&profile), &source(f.clone())).unwrap();
        let layout = session.kernel.procedures()[0].outputs[0].layout;
        assert_eq!(layout.row_bytes / 2, 224);
        let values: Vec<f32> = (0..400).map(|at| at as f32).collect();
        fill(&session, &[&values]);
        session.kernel.evaluate(&session.request()).unwrap();
        let bytes = session.outputs[0].read().unwrap();
        let halves: &[half::f16] = bytemuck::cast_slice(&bytes);
        assert_eq!(halves[224].to_f32(), -200.0, "{profile}: the second row");
        assert_ne!(halves[200].to_f32(), -200.0, "{profile}: where a tight one would be");
    }
}
