//! Programs that the tests share: a transformer layer there and back, and a whole model, a small
//! program for every operation, and faulty programs.

#![allow(dead_code)] // each test uses a part

pub(crate) mod faults;
pub(crate) mod layer;
pub(crate) mod operations;
pub(crate) mod unrolled;

use std::collections::BTreeMap;

use aneal_mil::eval::Tensor;
use aneal_mil::{DType, Function, Program, Type};

/// A program and what its inputs are drawn from.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) program: Program,
    /// Least and greatest input.
    pub(crate) range: (f32, f32),
    /// Whether it is small enough to be evaluated.
    pub(crate) evaluated: bool,
}

/// Everything.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = operations::cases();
    for (name, dims, evaluated) in [
        ("layer_small", layer::Dims::SMALL, true),
        ("layer_golfwide", layer::Dims::GOLFWIDE, false),
    ] {
        for (part, function) in [
            ("forward", layer::forward(dims).unwrap()),
            ("backward", layer::backward(dims).unwrap()),
        ] {
            let (name, program) = (format!("{name}_{part}"), Program::new(vec![function]));
            cases.push(Case { name, program, range: (-1.0, 1.0), evaluated });
        }
    }
    let program = Program::new(vec![unrolled::function(layer::Dims::SMALL).unwrap()]);
    let name = "unrolled_small".to_owned();
    cases.push(Case { name, program, range: (-1.0, 1.0), evaluated: true });
    cases
}

/// Numbers that look random and are the same everywhere: splitmix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// Values of a type within a range; whole ones for integers.
    pub(crate) fn tensor(&mut self, ty: Type, (least, greatest): (f32, f32)) -> Tensor {
        let values: Vec<f32> =
            (0..ty.shape.elements()).map(|_| least + (greatest - least) * self.unit()).collect();
        if ty.dtype == DType::Int32 {
            return Tensor { ty, values: values.iter().map(|v| f64::from(v.round())).collect() };
        }
        Tensor::from_floats(ty, &values).unwrap()
    }
}

/// Random inputs of a function.
pub(crate) fn inputs(
    function: &Function,
    range: (f32, f32),
    seed: u64,
) -> BTreeMap<String, Tensor> {
    let mut random = Random::new(seed);
    let of = |id| {
        let value: &aneal_mil::ValueInfo = function.value(id);
        (value.name.clone(), random.tensor(value.ty, range))
    };
    function.input_ids().map(of).collect()
}
