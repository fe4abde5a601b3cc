//! The protobuf and weight files on any bytes: neither panics, and a program that is taken can be
//! printed, packed and read again.
//!
//! The input is a weight file, its length before it as 16 bits little-endian, then a model.

#![no_main]

use aneal_mil::blob::{Check, Reader, Weights};
use aneal_mil::coreml::Package;
use aneal_mil::{DType, Dialect, Shape, Type, check, text};
use libfuzzer_sys::fuzz_target;

/// The paths under which programs find the weight file.
const PATHS: [&str; 2] = [Weights::CORE_ML, "w"];

fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first_chunk() else { return };
    let (file, model) = rest.split_at(rest.len().min(u16::from_le_bytes(*length).into()));
    read_blobs(file);
    let Ok(program) = Package::decode_model(model) else { return };
    check(&program).expect("what is read holds together");
    let printed = text::print(&program, Dialect::Modern);
    let again = text::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(again, program, "{printed}");

    let mut weights = Weights::new();
    PATHS.into_iter().for_each(|path| weights.insert(path, file.to_vec()));
    let Ok(package) = Package::new(program, &weights) else { return };
    let Ok(model) = package.model() else { return };
    assert_eq!(Package::decode_model(&model).expect("it was written here"), package.program);
});

/// Every type at the first descriptors.
fn read_blobs(file: &[u8]) {
    let shapes = [&[][..], &[3], &[2, 4], &[1 << 30, 1 << 10]];
    let shapes: Vec<Shape> = shapes.iter().flat_map(|dims| Shape::new(dims)).collect();
    for check in [Check::Strict, Check::Lenient] {
        let Ok(reader) = Reader::new(file, check) else { continue };
        for offset in [0, 64, 65, 128, 192, u64::MAX - 63, u64::MAX] {
            for (dtype, shape) in DType::all().flat_map(|d| shapes.iter().map(move |s| (d, s))) {
                let _ = reader.read(offset, Type::new(dtype, *shape));
            }
        }
    }
}
