//! Both schemes against their formulae, on rows where these differ.

use proptest::prelude::*;

use super::*;

/// A matrix whose first row is `row`, with zeros to fill it beyond the passthrough limit.
fn matrix(row: &[f32]) -> NamedTensor {
    let columns = row.len();
    let rows = MAX_PASSTHROUGH / columns + 1;
    let mut data = row.to_vec();
    data.resize(rows * columns, 0.0);
    NamedTensor { name: "w".into(), shape: vec![rows, columns], data }
}

fn quantize_one(tensor: &NamedTensor, scheme: QuantScheme) -> Result<Stored> {
    let mut state = quantize(&[tensor.view()], scheme)?;
    Ok(state.entries.remove(0).1)
}

/// Int8 and scale of a matrix row.
fn quantize_row(row: &[f32], scheme: QuantScheme) -> (Vec<i8>, f32) {
    match quantize_one(&matrix(row), scheme).unwrap() {
        Stored::Quantized { ints, scales: Scales::PerRow(scales), .. } => {
            (ints[..row.len()].to_vec(), scales[0].to_f32())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn reference_rows() {
    use QuantScheme::Reference;
    let floor = f16::from_f32(1.0 / 127.0).to_f32();
    // Below 1 the floor holds: 0.01 is 1.27 steps of 1/127.
    assert_eq!(quantize_row(&[0.01, -0.02, 0.0], Reference), (vec![1, -3, 0], floor));
    assert_eq!(quantize_row(&[0.0; 4], Reference), (vec![0; 4], floor));
    // Ties go to even: 12.7 is clipped a little below itself, so the tie is in the others.
    let (ints, scale) = quantize_row(&[127.0, 127.0, 0.5, 1.5, 2.5, -0.5, -1.5], Reference);
    assert_eq!((ints, scale), (vec![127, 127, 0, 2, 2, 0, -2], 1.0));
    // A row of one element is its own quantile.
    assert_eq!(quantize_row(&[-254.0], Reference), (vec![-127], 2.0));
}

#[test]
fn reference_clip_lies_between_the_two_largest() {
    let mut row = vec![1.0; 512];
    (row[7], row[300]) = (-2.0, 3.0);
    // torch.quantile(row.abs(), 0.9999984) of torch 2.15.
    assert_eq!(reference::clip(&row), 2.999_177_7);
    // Far out, the rank falls between equal or smaller neighbours.
    let mut long = vec![0.25; 3_000_000];
    long[5] = 9.0;
    assert_eq!(reference::clip(&long), 0.25);
}

#[test]
fn per_row_spans_the_largest_magnitude() {
    use QuantScheme::PerRow;
    assert_eq!(quantize_row(&[127.0, 63.5, -127.0, 0.5], PerRow), (vec![127, 64, -127, 0], 1.0));
    let (ints, scale) = quantize_row(&[0.01, -0.02, 0.0], PerRow);
    assert_eq!(ints, [64, -127, 0]);
    assert_eq!(scale, f16::from_f32(0.02 / 127.0).to_f32());
    for tiny in [0.0, 1e-40, -1e-6] {
        assert_eq!(quantize_row(&[tiny], PerRow), (vec![0], 2f32.powi(-14)));
    }
}

proptest! {
    #[test]
    fn per_row_is_within_half_a_step(row in prop::collection::vec(-2f32..2.0, 1..300), exp in -20i32..20) {
        let row: Vec<f32> = row.iter().map(|value| value * 2f32.powi(exp)).collect();
        let (ints, scale) = quantize_row(&row, QuantScheme::PerRow);
        for (&int, &weight) in ints.iter().zip(&row) {
            let error = (f32::from(int) * scale - weight).abs();
            prop_assert!(error <= 0.500_01 * scale, "{weight} became {int} * {scale}");
        }
    }
}

#[test]
fn ranks_other_than_two_get_one_scale() {
    for scheme in [QuantScheme::Reference, QuantScheme::PerRow] {
        let mut data = vec![0.0; MAX_PASSTHROUGH + 2];
        let shape = vec![1, 2, data.len() / 2];
        let zeros = NamedTensor { name: "w".into(), shape, data: data.clone() };
        (data[3], data[4], data[5]) = (12.7, -12.7, 6.35);
        let tensor = NamedTensor { data, ..zeros.clone() };
        match quantize_one(&tensor, scheme).unwrap() {
            Stored::Quantized { ints, scales: Scales::PerTensor(scale), .. } => {
                assert_eq!((ints[3], ints[4], scale), (127, -127, 0.1));
            }
            other => panic!("{other:?}"),
        }
        match quantize_one(&zeros, scheme).unwrap() {
            Stored::Quantized { scales, .. } => assert_eq!(scales, Scales::PerTensor(1.0)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn small_tensors_pass_through() {
    let cases = [
        ("norm.weight", vec![3], Dtype::F16, Some(Dtype::F32)),
        ("blocks.0.attn.q_gain", vec![3], Dtype::F32, None),
        ("skip_weights", vec![1, 3], Dtype::F32, None),
        ("bias", vec![], Dtype::F16, Some(Dtype::F32)),
        ("empty", vec![0, 7], Dtype::F16, Some(Dtype::F32)),
    ];
    for (name, shape, dtype, expected) in cases {
        let data = vec![0.1; shape.iter().product()];
        let tensor = NamedTensor { name: name.into(), shape, data };
        match quantize_one(&tensor, QuantScheme::PerRow).unwrap() {
            Stored::Passthrough { tensor, original } => {
                assert_eq!((tensor.dtype, original), (dtype, expected), "{name}");
            }
            other => panic!("{other:?}"),
        }
    }
    // The border itself, and a control tensor beyond it.
    let shape = vec![256, 256];
    let tensor = NamedTensor { name: "w".into(), shape, data: vec![1.0; 65_536] };
    assert!(matches!(
        quantize_one(&tensor, QuantScheme::PerRow).unwrap(),
        Stored::Passthrough { .. }
    ));
    let control = NamedTensor { name: "q_gain".into(), ..matrix(&[1.0]) };
    assert!(matches!(
        quantize_one(&control, QuantScheme::PerRow).unwrap(),
        Stored::Quantized { .. }
    ));
}

#[test]
fn dequantises_in_order() {
    let tensors = [
        NamedTensor { name: "b".into(), shape: vec![2], data: vec![0.5, -3.0] },
        NamedTensor { name: "z".into(), ..matrix(&[12.7, -6.4, 0.1]) },
        NamedTensor { name: "a.q_gain".into(), shape: vec![1], data: vec![0.1] },
    ];
    let views: Vec<TensorView<'_>> = tensors.iter().map(NamedTensor::view).collect();
    let state = quantize(&views, QuantScheme::PerRow).unwrap();
    let read = state.dequantize().unwrap();
    assert_eq!(read[0], tensors[0]);
    assert_eq!(read[2], tensors[2]);
    let scale = f16::from_f32(0.1).to_f32();
    assert_eq!(read[1].shape, tensors[1].shape);
    assert_eq!(read[1].data[..3], [127.0 * scale, -64.0 * scale, scale]);

    let elements = tensors[1].data.len();
    let rows = elements / 3;
    assert_eq!(state.payload_bytes(), elements + 2 * rows + 2 * 2 + 4);
    assert_eq!(state.baseline_bytes(), 4 * (elements + 3));
}

#[test]
fn a_recorded_bfloat16_is_rounded_to() {
    let ints = vec![1, 127];
    let scales = Scales::PerTensor(0.3);
    let stored = Stored::Quantized { shape: vec![2], ints, scales, dtype: Dtype::BF16 };
    let state = QuantizedState { entries: vec![("w".into(), stored)] };
    assert_eq!(state.dequantize().unwrap()[0].data, [0.300_781_25, 38.0]);
}

#[test]
fn refuses_what_cannot_be_stored() {
    let tensor = |shape: &[usize], data: &[f32]| NamedTensor {
        name: "w".into(),
        shape: shape.to_vec(),
        data: data.to_vec(),
    };
    let cases = [
        (tensor(&[2], &[0.0, f32::NAN]), "element 1 is NaN"),
        (matrix(&[0.0, 1.0, f32::NEG_INFINITY]), "element 2 is -inf, which int8"),
        (tensor(&[2], &[0.0, -65520.0]), "element 1 is -65520, which fp16"),
        (matrix(&[0.0, 9e6]), "element 1 is 9000000, which an fp16 scale"),
        (tensor(&[2, 2], &[0.0; 3]), "shape [2, 2] does not hold 3 values"),
        (tensor(&[usize::MAX, 2], &[0.0; 3]), "does not hold 3 values"),
    ];
    for scheme in [QuantScheme::Reference, QuantScheme::PerRow] {
        for (tensor, expected) in &cases {
            let message = quantize_one(tensor, scheme).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
    let tensor = tensor(&[1], &[1.0]);
    let twice = quantize(&[tensor.view(), tensor.view()], QuantScheme::PerRow);
    assert!(matches!(twice, Err(Error::TensorTwice { .. })));
}
