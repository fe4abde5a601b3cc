//! The work of a program's function.

use aneal_mil::{Function, Operand, Operation, Type, ValueId};

use super::{OpWork, Work};

/// Rows of a surface are padded to this many bytes (facts section 2.2).
const ROW_BYTES: u64 = 64;

/// Passes over its elements that a softmax takes: maximum, difference, exponential, sum, product.
const SOFTMAX_PASSES: u64 = 5;

/// Passes of a normalisation: mean, difference, square, mean, product.
const NORM_PASSES: u64 = 5;

impl Work {
    /// What a run of the function asks of the engine.
    ///
    /// Slices, reshapes and joins are addresses to the engine's memory access, and free; a `relu`
    /// rides on the product before it. Packed weights count as the fp16 they unpack to.
    #[must_use]
    pub fn of(function: &Function) -> Self {
        let bytes = |ids: &mut dyn Iterator<Item = ValueId>| {
            ids.map(|id| surface_bytes(function.ty(id))).fold(0, u64::saturating_add)
        };
        let mut work = Self {
            input_bytes: bytes(&mut function.input_ids()),
            output_bytes: bytes(&mut function.outputs.iter().copied()),
            ops: Vec::new(),
        };
        for operation in &function.operations {
            Reader { function, operation }.add(&mut work.ops);
        }
        work
    }
}

/// Bytes of the surface that holds a tensor.
fn surface_bytes(ty: Type) -> u64 {
    let width = ty.shape.width().max(1);
    let rows = (ty.shape.elements() / width) as u64;
    rows.saturating_mul((ty.dtype.bytes(width) as u64).next_multiple_of(ROW_BYTES))
}

fn product(dims: &[usize]) -> u64 {
    dims.iter().fold(1, |a, d| a.saturating_mul(*d as u64))
}

struct Reader<'a> {
    function: &'a Function,
    operation: &'a Operation,
}

impl Reader<'_> {
    fn operand(&self, parameter: &str) -> Option<&Operand> {
        self.operation.argument(parameter)?.operands().first()
    }

    fn ty(&self, parameter: &str) -> Option<Type> {
        Some(self.function.operand_type(self.operand(parameter)?))
    }

    fn flag(&self, parameter: &str) -> bool {
        let literal = self.operand(parameter).and_then(|op| self.function.operand_constant(op));
        literal.and_then(|l| l.booleans()).and_then(|b| b.first().copied()).unwrap_or(false)
    }

    fn integer(&self, parameter: &str) -> Option<u64> {
        let literal = self.function.operand_constant(self.operand(parameter)?)?;
        literal.integers()?.first().and_then(|n| u64::try_from(*n).ok())
    }

    /// Whether the compiler knows the operand.
    fn is_constant(&self, parameter: &str) -> bool {
        self.operand(parameter).is_some_and(|operand| match operand {
            Operand::Literal(_) => true,
            Operand::Value(id) => self
                .function
                .origin(*id)
                .is_some_and(|origin| origin.def.is_const() || origin.def.is_constexpr()),
        })
    }

    /// The operation that makes the operand.
    fn maker(&self, parameter: &str) -> Option<&'static str> {
        match self.operand(parameter)? {
            Operand::Value(id) => self.function.origin(*id).map(|origin| origin.def.name),
            Operand::Literal(_) => None,
        }
    }

    fn result(&self) -> Option<Type> {
        self.operation.results.first().map(|id| self.function.ty(*id))
    }

    /// Elements of the largest of operands and results.
    fn elements(&self) -> u64 {
        let operands = self.operation.operands().map(|o| self.function.operand_type(o));
        let results = self.operation.results.iter().map(|id| self.function.ty(*id));
        operands.chain(results).map(|ty| ty.shape.elements() as u64).max().unwrap_or(0)
    }

    /// Operands as large as the largest that are no constants: each is read once.
    fn reads(&self) -> u64 {
        let elements = self.elements();
        let large = self.operation.uses().filter(|id| {
            let known = self.function.origin(*id).is_some_and(|origin| origin.def.is_const());
            !known && self.function.ty(*id).shape.elements() as u64 == elements
        });
        (large.count() as u64).max(1)
    }

    fn add(&self, ops: &mut Vec<OpWork>) {
        let def = self.operation.def;
        if def.is_const() || def.is_constexpr() {
            return;
        }
        let passes = |passes| OpWork::Elementwise { elements: self.elements(), passes };
        match def.name {
            "matmul" => ops.extend(self.matmul()),
            "linear" => ops.extend(self.linear()),
            "conv" => ops.extend(self.conv(false)),
            "conv_transpose" => ops.extend(self.conv(true)),
            "scaled_dot_product_attention" => ops.extend(self.attention().into_iter().flatten()),
            "softmax" => ops.push(passes(SOFTMAX_PASSES)),
            "layer_norm" | "instance_norm" | "l2_norm" => ops.push(passes(NORM_PASSES)),
            "transpose" | "gather" | "gather_along_axis" | "tile" | "pad" | "reverse"
            | "depth_to_space" | "space_to_depth" => {
                ops.push(OpWork::Move { elements: self.elements() });
            }
            "reshape" | "expand_dims" | "squeeze" | "flatten2d" | "slice_by_size"
            | "slice_by_index" | "split" | "concat" | "stack" | "identity" => {}
            "relu" if matches!(self.maker("x"), Some("conv" | "linear" | "matmul")) => {}
            _ => ops.push(passes(self.reads())),
        }
    }

    /// With a constant operand, it is a convolution of one pixel a row.
    fn matmul(&self) -> Option<OpWork> {
        let (x, y, result) = (self.ty("x")?, self.ty("y")?, self.result()?);
        let (xs, ys, out) = (x.shape.dims(), y.shape.dims(), result.shape.dims());
        let [leading @ .., m, n] = out.as_slice() else { return None };
        let (mut groups, mut m, n) = (product(leading), *m as u64, *n as u64);
        let inner = xs.len().checked_sub(if self.flag("transpose_x") { 2 } else { 1 })?;
        let k = *xs.get(inner)? as u64;
        if ys.len() < 3 || product(&ys[..ys.len() - 2]) == 1 {
            m = m.saturating_mul(groups);
            groups = 1;
        }
        for (parameter, ty) in [("y", y), ("x", x)] {
            if self.is_constant(parameter) {
                let weight_bytes = ty.bytes() as u64;
                return Some(OpWork::Conv { groups, m, k, n, weight_bytes });
            }
        }
        Some(OpWork::MatMul { groups, m, k, n })
    }

    fn linear(&self) -> Option<OpWork> {
        let (x, weight) = (self.ty("x")?, self.ty("weight")?);
        let (k, n) = (x.shape.width() as u64, weight.shape.dim(0) as u64);
        let m = x.shape.elements() as u64 / k.max(1);
        Some(OpWork::Conv { groups: 1, m, k, n, weight_bytes: weight.bytes() as u64 })
    }

    fn conv(&self, transposed: bool) -> Option<OpWork> {
        let (x, weight, result) = (self.ty("x")?, self.ty("weight")?, self.result()?);
        let (xs, ws, out) = (x.shape.dims(), weight.shape.dims(), result.shape.dims());
        let groups = self.integer("groups").unwrap_or(1).max(1);
        let ([w0, w1, window @ ..], [batch, channels, inner @ ..]) = (ws.as_slice(), xs.as_slice())
        else {
            return None;
        };
        let (taps, batch) = (product(window), *batch as u64);
        let (m, k, n) = if transposed {
            (product(inner), *channels as u64 / groups, taps.saturating_mul(*w1 as u64))
        } else {
            (product(out.get(2..)?), taps.saturating_mul(*w1 as u64), *w0 as u64 / groups)
        };
        let m = m.saturating_mul(batch);
        if self.is_constant("weight") {
            Some(OpWork::Conv { groups, m, k, n, weight_bytes: weight.bytes() as u64 })
        } else {
            Some(OpWork::MatMul { groups, m, k, n })
        }
    }

    /// Scores, scale and mask, softmax, values.
    fn attention(&self) -> Option<[OpWork; 4]> {
        let (query, key, value) = (self.ty("query")?, self.ty("key")?, self.ty("value")?);
        let (qs, ks) = (query.shape.dims(), key.shape.dims());
        let ([leading @ .., m, k], [.., n, _]) = (qs.as_slice(), ks.as_slice()) else {
            return None;
        };
        let (groups, m, k, n) = (product(leading), *m as u64, *k as u64, *n as u64);
        let elements = groups.saturating_mul(m).saturating_mul(n);
        Some([
            OpWork::MatMul { groups, m, k, n },
            OpWork::Elementwise { elements, passes: 2 },
            OpWork::Elementwise { elements, passes: SOFTMAX_PASSES },
            OpWork::MatMul { groups, m, k: n, n: value.shape.width() as u64 },
        ])
    }
}

#[cfg(test)]
mod tests {
    use aneal_mil::{Builder, Conv, Literal, MatMul, Opset, Type};

    use super::*;

    type Result<T = ()> = std::result::Result<T, aneal_mil::Error>;

    /// A product of activations with weights packed beside them in one surface.
    #[test]
    fn packed_products_are_one_product_and_three_moves() -> Result {
        let (rows, inner, outer) = (256, 512, 1024);
        let mut b = Builder::new("main", Opset::Ios18);
        let x = b.input("x", Type::fp16(&[1, inner, 1, rows + outer])?)?;
        let (s, i, o) = (rows as i64, inner as i64, outer as i64);
        let act = b.slice_by_size(x, &[0, 0, 0, 0], &[1, i, 1, s])?;
        let weight = b.slice_by_size(x, &[0, 0, 0, s], &[1, i, 1, o])?;
        let act = b.reshape(act, &[1, 1, i, s])?;
        let act = b.transpose(act, &[0, 1, 3, 2])?;
        let weight = b.reshape(weight, &[1, 1, i, o])?;
        let y = b.matmul(act, weight, MatMul::default())?;
        let y = b.transpose(y, &[0, 1, 3, 2])?;
        let y = b.reshape(y, &[1, o, 1, s])?;
        b.output("y", y)?;
        let work = Work::of(&b.finish()?);
        let want = Work {
            input_bytes: 2 * 512 * (256 + 1024),
            output_bytes: 2 * 1024 * 256,
            ops: vec![
                OpWork::Move { elements: 256 * 512 },
                OpWork::MatMul { groups: 1, m: 256, k: 512, n: 1024 },
                OpWork::Move { elements: 256 * 1024 },
            ],
        };
        assert_eq!(work, want);
        assert_eq!(work.flops(), 2.0 * 256.0 * 512.0 * 1024.0);
        Ok(())
    }

    #[test]
    fn constant_weights_are_streamed() -> Result {
        let mut b = Builder::new("main", Opset::Ios18);
        let x = b.input("x", Type::fp16(&[1, 8, 6, 40])?)?;
        let weight = b.constant(Literal::from_floats(Type::fp16(&[16, 4, 3, 3])?, &[0.0; 576])?)?;
        let y = b.conv(x, weight, Conv { pad_type: "same", groups: 2, ..Conv::default() })?;
        let y = b.relu(y)?;
        let y = b.tanh(y)?;
        b.output("y", y)?;
        let work = Work::of(&b.finish()?);
        let (m, elements) = (6 * 40, 16 * 6 * 40);
        assert_eq!(
            work.ops,
            [
                OpWork::Conv { groups: 2, m, k: 36, n: 8, weight_bytes: 1152 },
                OpWork::Elementwise { elements, passes: 1 },
            ]
        );
        assert_eq!(work.input_bytes, 8 * 6 * 128, "rows of 80 bytes take 128");
        assert_eq!(work.weight_bytes(), 1152);
        Ok(())
    }

    #[test]
    fn heads_are_groups_and_shared_weights_are_not() -> Result {
        let mut b = Builder::new("main", Opset::Ios18);
        let q = b.input("q", Type::fp16(&[1, 4, 32, 64])?)?;
        let k = b.input("k", Type::fp16(&[1, 4, 48, 64])?)?;
        let w = b.input("w", Type::fp16(&[1, 1, 48, 96])?)?;
        let scores = b.matmul(q, k, MatMul { transpose_y: true, ..MatMul::default() })?;
        let p = b.softmax(scores, -1)?;
        let y = b.matmul(p, w, MatMul::default())?;
        b.output("y", y)?;
        let work = Work::of(&b.finish()?);
        assert_eq!(
            work.ops,
            [
                OpWork::MatMul { groups: 4, m: 32, k: 64, n: 48 },
                OpWork::Elementwise { elements: 4 * 32 * 48, passes: 5 },
                OpWork::MatMul { groups: 1, m: 4 * 32, k: 48, n: 96 },
            ]
        );
        Ok(())
    }
}
