//! Functions of one fp16 value: there are only 65,536 of those, so each function is a table.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aneal_mil::eval::{Binary, Unary};
use half::f16;
use rayon::prelude::*;

use super::super::layout::View;
use super::copy;
use super::nest::Nest;
use crate::Arithmetic;
use crate::arithmetic::{Functions, Nan, Subnormals, Tie};

/// Entries of a table.
const ENTRIES: usize = 1 << 16;
/// Tables that are kept for the next program, 128 KiB each.
const KEPT: usize = 128;
/// Entries that one thread computes at least.
const PIECE: usize = 1 << 12;

/// A function of one element.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    /// With the operation's alpha (also its epsilon) and beta, as [`Arithmetic::unary`] takes them.
    Of(Unary, f64, f64),
    /// `f(x, constant)`.
    With(Binary, f16),
    /// `f(constant, x)`.
    From(f16, Binary),
}

impl Function {
    /// The function, by its scalar definition.
    fn apply(self, arithmetic: &Arithmetic, x: f16) -> f16 {
        match self {
            Self::Of(f, alpha, beta) => arithmetic.unary(f, x, alpha, beta),
            Self::With(f, constant) => arithmetic.binary(x, constant, |x, y| f.apply(x, y)),
            Self::From(constant, f) => arithmetic.binary(constant, x, |x, y| f.apply(x, y)),
        }
    }

    fn key(self) -> FunctionKey {
        match self {
            Self::Of(f, alpha, beta) => FunctionKey::Of(f, alpha.to_bits(), beta.to_bits()),
            Self::With(f, constant) => FunctionKey::With(f, constant.to_bits()),
            Self::From(constant, f) => FunctionKey::From(constant.to_bits(), f),
        }
    }
}

/// [`Function`] with its numbers as bits, which are equal to themselves.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum FunctionKey {
    Of(Unary, u64, u64),
    With(Binary, u16),
    From(u16, Binary),
}

/// All that decides a table's entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    function: FunctionKey,
    number: bool,
    flush: bool,
    away: bool,
    tabled: bool,
}

impl Key {
    /// The function's table, computed.
    pub(super) fn new(arithmetic: &Arithmetic, function: Function) -> Self {
        Self {
            function: function.key(),
            number: arithmetic.nan == Nan::Number,
            flush: arithmetic.subnormal_elements == Subnormals::Flush,
            away: arithmetic.tie == Tie::Away,
            tabled: arithmetic.functions == Functions::Table,
        }
    }
}

/// Tables of the last programs: programs of one plan share most of theirs.
static TABLES: LazyLock<Mutex<HashMap<Key, Arc<Table>>>> = LazyLock::new(Mutex::default);

/// A function's value for every fp16 bit pattern.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Box<[f16; ENTRIES]>,
}

impl Table {
    /// The function's table, computed now or earlier.
    pub(crate) fn shared(arithmetic: &Arithmetic, function: Function) -> Arc<Self> {
        let key = Key::new(arithmetic, function);
        // Whoever panicked with the lock left whole tables behind.
        let lock = || TABLES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = lock().get(&key) {
            return Arc::clone(table);
        }
        // Not under the lock: a thread that waits for others would keep it.
        let table = Arc::new(Self::new(arithmetic, function));
        let mut tables = lock();
        if tables.len() >= KEPT {
            tables.clear();
        }
        Arc::clone(tables.entry(key).or_insert(table))
    }

    /// The function's table, computed.
    pub(super) fn new(arithmetic: &Arithmetic, function: Function) -> Self {
        let mut entries = Box::new([f16::ZERO; ENTRIES]);
        entries.par_chunks_mut(PIECE).enumerate().for_each(|(piece, entries)| {
            for (i, entry) in entries.iter_mut().enumerate() {
                *entry = function.apply(arithmetic, f16::from_bits((piece * PIECE + i) as u16));
            }
        });
        Self { entries }
    }

    /// The function's value.
    #[inline(always)]
    pub(crate) fn at(&self, x: f16) -> f16 {
        self.entries[usize::from(x.to_bits())]
    }

    /// The function of every element, row-major. `out` has as many as `x`.
    pub(crate) fn apply(&self, x: View<'_>, out: &mut [f16]) {
        Nest::new([&x.layout]).divide(out, 1, &|nest, out| {
            let row = nest.row();
            if nest.row_steps() == [1] {
                for ([at], out) in nest.rows().zip(out.chunks_exact_mut(row)) {
                    for (out, &x) in out.iter_mut().zip(&x.data[at..at + row]) {
                        *out = self.at(x);
                    }
                }
            } else {
                copy::piece(&nest, x.data, out);
                for out in out {
                    *out = self.at(*out);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{arithmetics, assert_bits, bits, in_threads, view};
    use super::*;
    use crate::Profile;

    const FUNCTIONS: [Function; 6] = [
        Function::Of(Unary::Silu, 0.0, 0.0),
        Function::Of(Unary::Clip, -1.0, 6.5),
        Function::Of(Unary::Rsqrt, 1e-5, 0.0),
        Function::With(Binary::Pow, f16::from_f32_const(-0.5)),
        Function::With(Binary::Mul, f16::from_f32_const(0.125)),
        Function::From(f16::ONE, Binary::RealDiv),
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn gives_what_the_definition_gives(
            source in view(60), arithmetic in arithmetics(), f in prop::sample::select(&FUNCTIONS[..]),
        ) {
            let x = source.view();
            let mut out = vec![f16::ONE; x.layout.elements()];
            Table::shared(&arithmetic, f).apply(x, &mut out);
            let want: Vec<f16> = x.iter().map(|x| f.apply(&arithmetic, x)).collect();
            assert_bits("table", &out, &want);
        }
    }

    #[test]
    fn all_entries_on_one_thread_or_two() {
        let arithmetic = &Profile::named("m4").unwrap().arithmetic;
        for f in FUNCTIONS {
            let [one, two] =
                [1, 2].map(|threads| in_threads(threads, || Table::new(arithmetic, f)));
            assert_bits("threads", &*one.entries, &*two.entries);
            for x in bits(4, 1000) {
                assert_eq!(one.at(x).to_bits(), f.apply(arithmetic, x).to_bits());
            }
        }
    }

    #[test]
    fn tables_are_shared_by_what_decides_them() {
        let shared =
            |profile: &str, f| Table::shared(&Profile::named(profile).unwrap().arithmetic, f);
        let f = Function::Of(Unary::Elu, 0.75, 0.0);
        // Alike but for what no element shows.
        assert!(Arc::ptr_eq(&shared("m4", f), &shared("m5-max", f)));
        assert!(!Arc::ptr_eq(&shared("m4", f), &shared("m1", f)));
        assert!(!Arc::ptr_eq(&shared("m4", f), &shared("m4", Function::Of(Unary::Elu, 0.5, 0.0))));
    }
}
