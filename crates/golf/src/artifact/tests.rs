//! Artifacts in and out, the fixture that torch wrote, and every way of being broken.

use proptest::prelude::*;

use super::*;
use crate::quantize::{MAX_PASSTHROUGH, NamedTensor, QuantScheme, Scales, Stored, quantize};
use crate::torch_file::{Dtype, TorchTensor, Value};

/// The weights of `python/make_artifact_fixture.py`, which states the same formula.
fn fixture_weights() -> Vec<NamedTensor> {
    let shapes: [(&str, &[usize]); 7] = [
        ("skip_weights", &[4, 8]),
        ("tok_emb.weight", &[1024, 65]),
        ("blocks.0.attn_scale", &[8]),
        ("blocks.0.attn.c_q.weight", &[257, 256]),
        ("blocks.0.conv.weight", &[2, 181, 182]),
        ("norm.weight", &[16]),
        ("norm.bias", &[16]),
    ];
    let tensor = |(name, shape): (&str, &[usize])| {
        let weight = |i: usize| {
            let row = i / shape.last().unwrap();
            ((7 * i % 251) as f32 - 100.0) / 64.0 * [0.25, 1.0, 4.0][row % 3]
        };
        let data = (0..shape.iter().product()).map(weight).collect();
        NamedTensor { name: name.into(), shape: shape.to_vec(), data }
    };
    shapes.map(tensor).to_vec()
}

fn artifact_of(tensors: &[NamedTensor], scheme: QuantScheme) -> Artifact {
    let views: Vec<_> = tensors.iter().map(NamedTensor::view).collect();
    let state = quantize(&views, scheme).unwrap();
    let config = serde_json::json!({
        "layers": 9, "theta": 1e4, "name": "golf", "tied": true, "window": null, "heads": [8, -4],
    });
    Artifact { state, model_config: config.as_object().cloned() }
}

/// A stored artifact of a few hundred bytes.
fn small() -> Artifact {
    let entries = vec![
        (
            "w".to_owned(),
            Stored::Quantized {
                shape: vec![2, 3],
                ints: vec![1, -2, 3, 127, -127, 0],
                scales: Scales::PerRow([0.5, 0.25].map(half::f16::from_f32).to_vec()),
                dtype: Dtype::F32,
            },
        ),
        (
            "norm".to_owned(),
            Stored::Passthrough {
                tensor: TorchTensor::from_f16(vec![1], &[half::f16::ONE]),
                original: Some(Dtype::F32),
            },
        ),
    ];
    let model_config = serde_json::json!({"layers": 1}).as_object().cloned();
    Artifact { state: QuantizedState { entries }, model_config }
}

#[test]
fn reads_what_torch_wrote() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/artifact/torch.int8.ptz");
    let read = Artifact::read(Path::new(path)).unwrap();
    assert_eq!(read.model_config, None);

    let weights = fixture_weights();
    let expected = artifact_of(&weights, QuantScheme::Reference).state;
    assert_eq!(read.state.entries().len(), expected.entries().len());
    for (name, stored) in read.state.entries() {
        let ours = expected.entries().iter().find(|(ours, _)| ours == name);
        match (stored, &ours.unwrap().1) {
            (
                Stored::Quantized { shape, ints, scales, dtype },
                Stored::Quantized { shape: our_shape, ints: our_ints, scales: our_scales, .. },
            ) => {
                assert_eq!((shape, ints, scales), (our_shape, our_ints, our_scales), "{name}");
                let original = if name == "tok_emb.weight" { Dtype::BF16 } else { Dtype::F32 };
                assert_eq!(*dtype, original, "{name}");
            }
            (Stored::Passthrough { tensor, .. }, Stored::Passthrough { tensor: ours, .. }) => {
                assert_eq!(tensor, ours, "{name}");
            }
            (theirs, ours) => panic!("{name}: {theirs:?} against {ours:?}"),
        }
    }
    // Small tensors here are exact in fp16 and bf16.
    for tensor in read.state.dequantize().unwrap() {
        let ours = weights.iter().find(|ours| ours.name == tensor.name).unwrap();
        assert!(tensor.data.len() > MAX_PASSTHROUGH || tensor == *ours, "{}", tensor.name);
    }
}

#[test]
fn round_trip() {
    for scheme in [QuantScheme::Reference, QuantScheme::PerRow] {
        let artifact = artifact_of(&fixture_weights(), scheme);
        let (bytes, sizes) = artifact.to_bytes().unwrap();
        assert_eq!(artifact.to_bytes().unwrap().0, bytes);
        let mut read = Artifact::from_bytes(&bytes).unwrap();
        assert_eq!(read.model_config, artifact.model_config);
        // The format keeps two dictionaries, so quantised tensors come first.
        let mut expected = artifact.state.entries.clone();
        expected.sort_by_key(|(_, stored)| matches!(stored, Stored::Passthrough { .. }));
        assert_eq!(read.state.entries, expected);
        read.state.entries = artifact.state.entries.clone();
        assert_eq!(read.to_bytes().unwrap().0, bytes);

        assert_eq!(sizes.artifact, bytes.len());
        assert_eq!(sizes.payload, artifact.state.payload_bytes());
        assert!(sizes.payload < sizes.raw_torch && sizes.raw_torch < sizes.payload + 8192);
    }
}

#[test]
fn the_log_line() {
    let sizes = ArtifactSizes {
        artifact: 15815847,
        raw_torch: 17224025,
        payload: 17178912,
        baseline: 67191072,
    };
    assert_eq!(
        sizes.to_string(),
        "Serialized model int8+zlib: 15815847 bytes \
         (payload:17178912 raw_torch:17224025 payload_ratio:3.91x)"
    );
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("artifact.bin");
    let artifact = small();
    let sizes = artifact.write(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), sizes.artifact as u64);
    assert_eq!(Artifact::read(&path).unwrap(), artifact);
    std::fs::write(&path, "text").unwrap();
    let message = Artifact::read(&path).unwrap_err().to_string();
    assert!(message.contains("artifact.bin: not a quantised artifact"), "{message}");
    assert!(matches!(Artifact::read(dir.path()), Err(Error::Io { .. })));
}

#[test]
fn refuses_foreign_bytes() {
    let (whole, _) = small().to_bytes().unwrap();
    let cut = whole[..whole.len() - 1].to_vec();
    let mut damaged = whole.clone();
    damaged[whole.len() - 1] ^= 1;
    let longer = [&whole[..], b"xyz"].concat();
    let empty = deflate(b"").unwrap();
    let text = deflate(b"no zip at all, but long enough to be one").unwrap();
    let cases: [(&str, &[u8], &str); 9] = [
        ("empty", b"", "does not start as a zlib stream"),
        ("one byte", &whole[..1], "does not start as a zlib stream"),
        ("a bare torch file", b"PK\x03\x04....", "does not start as a zlib stream"),
        ("gzip", &[0x1f, 0x8b, 8, 0], "does not start as a zlib stream"),
        ("cut", &cut, "ends early"),
        ("checksum", &damaged, "is damaged"),
        ("trailing bytes", &longer, "3 bytes follow"),
        ("nothing inside", &empty, "too short for a zip"),
        ("text inside", &text, "does not end as a zip does"),
    ];
    for (name, bytes, expected) in cases {
        let message = Artifact::from_bytes(bytes).unwrap_err().to_string();
        assert!(message.contains(expected), "{name}: {message}");
    }
    for len in 0..whole.len() {
        assert!(Artifact::from_bytes(&whole[..len]).is_err(), "cut to {len}");
    }
}

#[test]
fn unpacking_stops_at_its_limit() {
    let zeros = deflate(&vec![0; 1 << 20]).unwrap();
    assert!(zeros.len() < 1100);
    assert_eq!(inflate(&zeros, 1 << 20).unwrap().len(), 1 << 20);
    for limit in [(1 << 20) - 1, 1000, 0] {
        let result = inflate(&zeros, limit);
        assert!(matches!(result, Err(Error::ArtifactTooLarge { limit: l }) if l == limit));
    }
}

/// Replaces what is at `path` in nested dictionaries; `None` removes it.
fn edit(value: &mut Value, path: &[&str], new: Option<Value>) {
    let Value::Dict(items) = value else { panic!("{path:?}") };
    let index = items.iter().position(|(key, _)| key == path[0]);
    match (path, new) {
        ([key], Some(new)) if index.is_none() => items.push(((*key).to_owned(), new)),
        ([_], Some(new)) => items[index.unwrap()].1 = new,
        ([_], None) => drop(items.remove(index.unwrap())),
        (_, new) => edit(&mut items[index.unwrap()].1, &path[1..], new),
    }
}

#[test]
fn refuses_foreign_dictionaries() {
    let str = |text: &str| Some(Value::Str(text.into()));
    let f16s = |shape: &[usize], data: &[f32]| {
        let halves: Vec<_> = data.iter().map(|&x| half::f16::from_f32(x)).collect();
        Some(Value::Tensor(TorchTensor::from_f16(shape.to_vec(), &halves)))
    };
    let f32s = |shape: &[usize], data: &[f32]| {
        Some(Value::Tensor(TorchTensor::from_f32(shape.to_vec(), data)))
    };
    let cases: [(&[&str], Option<Value>, &str); 20] = [
        (&["__quant_format__"], None, "does not state its format"),
        (&["__quant_format__"], str("int6"), "its format is `int6`, expected `int8_clean"),
        (&["__quant_format__"], Some(Value::Int(1)), "does not state its format"),
        (&["quantized"], None, "key `quantized` is absent"),
        (&["passthrough"], None, "key `passthrough` is absent"),
        (&["scales"], Some(Value::List(vec![])), "key `scales` is of type list, expected dict"),
        (&["scales", "w"], None, "tensor `w`: has no scales"),
        (
            &["scales", "w"],
            Some(Value::Float(1.0)),
            "tensor `w`: is of type float, expected tensor",
        ),
        (
            &["scales", "w"],
            f16s(&[3], &[1.0; 3]),
            "float16 scales of shape [3], expected float16 of shape [2]",
        ),
        (&["scales", "w"], f16s(&[1, 2], &[1.0; 2]), "scales of shape [1, 2]"),
        (&["scales", "w"], f16s(&[], &[1.0]), "float16 scales of shape []"),
        (&["scales", "w"], f32s(&[2], &[1.0; 2]), "float32 scales of shape [2]"),
        (&["scales", "w"], f16s(&[2], &[1.0, f32::INFINITY]), "has scale inf in row 1"),
        (&["scales", "w"], f32s(&[], &[f32::NAN]), "has scale NaN in row 0"),
        (&["quantized", "w"], f16s(&[2], &[1.0; 2]), "is float16, expected int8"),
        (&["dtypes", "w"], None, "has no dtype"),
        (&["dtypes", "w"], str("int64"), "was int64, expected a float type"),
        (&["dtypes", "w"], Some(Value::None), "has a dtype of type None"),
        (&["passthrough", "w"], f16s(&[1], &[1.0]), "tensor `w` is there twice"),
        (&["model_config"], str("golf"), "`model_config` is of type str"),
    ];
    for (path, new, expected) in cases {
        let mut value = dictionary::from_artifact(&small()).unwrap();
        edit(&mut value, path, new);
        let bytes = deflate(&torch_file::save(&value).unwrap()).unwrap();
        let message = Artifact::from_bytes(&bytes).unwrap_err().to_string();
        assert!(message.contains(expected), "{path:?}: {message}");
    }
    let mut value = dictionary::from_artifact(&small()).unwrap();
    edit(&mut value, &["model_config", "layers"], f32s(&[], &[1.0]));
    assert!(dictionary::to_artifact(value).is_err());
    let bytes = deflate(&torch_file::save(&Value::Int(1)).unwrap()).unwrap();
    assert!(Artifact::from_bytes(&bytes).unwrap_err().to_string().contains("it is of type int"));
}

#[test]
fn an_integer_tensor_is_kept_but_is_no_weight() {
    let tensor = TorchTensor { dtype: Dtype::I64, shape: vec![1], bytes: vec![0; 8] };
    let mut artifact = small();
    artifact.state.entries.push(("step".into(), Stored::Passthrough { tensor, original: None }));
    let read = Artifact::from_bytes(&artifact.to_bytes().unwrap().0).unwrap();
    assert_eq!(read, artifact);
    let message = read.state.dequantize().unwrap_err().to_string();
    assert!(message.contains("`step`: is int64, expected a float type"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn damage_does_not_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        inside: bool,
    ) {
        let (mut bytes, _) = small().to_bytes().unwrap();
        let mut raw = inflate(&bytes, MAX_RAW_BYTES).unwrap();
        for (at, byte) in damage {
            *at.get_mut(if inside { &mut raw } else { &mut bytes }) = byte;
        }
        if inside {
            bytes = deflate(&raw).unwrap();
        }
        if let Ok(artifact) = Artifact::from_bytes(&bytes) {
            // Only what no checksum covers can have changed.
            prop_assert_eq!(artifact, small());
        }
    }
}
