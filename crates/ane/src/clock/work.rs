//! What a dispatch asks of the engine, without the values.

/// One program, run once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Bytes of the surfaces it reads, rows padded as the engine wants them.
    pub input_bytes: u64,
    /// Bytes of the surfaces it writes.
    pub output_bytes: u64,
    /// What it computes, in order. Views and slices are addresses, and do not appear.
    pub ops: Vec<OpWork>,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OpWork {
    /// `groups` products `[m, k] x [k, n]`, both operands computed or given as input.
    MatMul {
        /// Independent products, an attention head each.
        groups: u64,
        /// Rows.
        m: u64,
        /// Terms of each sum.
        k: u64,
        /// Columns.
        n: u64,
    },
    /// A convolution or product with constant weights.
    Conv {
        /// Groups of channels that do not see each other.
        groups: u64,
        /// Pixels.
        m: u64,
        /// Terms of each sum: inputs of a group times the window.
        k: u64,
        /// Outputs of a group.
        n: u64,
        /// What is streamed for it; 0 for weights that an operation before it has left there.
        weight_bytes: u64,
    },
    /// An operation on each element: activations, sums of tensors, the steps of a softmax.
    Elementwise {
        /// Elements of its largest operand.
        elements: u64,
        /// How often it reads so many: once an operand of that size, once a step of a softmax.
        passes: u64,
    },
    /// The same elements in another order.
    Move {
        /// How many.
        elements: u64,
    },
}

impl OpWork {
    /// Arithmetic operations of its products, a multiply-add being two; others count nothing.
    #[must_use]
    pub fn flops(&self) -> f64 {
        match *self {
            Self::MatMul { groups, m, k, n } | Self::Conv { groups, m, k, n, .. } => {
                2.0 * groups as f64 * m as f64 * k as f64 * n as f64
            }
            Self::Elementwise { .. } | Self::Move { .. } => 0.0,
        }
    }
}

impl Work {
    /// Arithmetic operations of all products.
    #[must_use]
    pub fn flops(&self) -> f64 {
        self.ops.iter().map(OpWork::flops).sum()
    }

    /// Bytes of constant weights that a run streams.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let bytes = self.ops.iter().map(|op| match op {
            OpWork::Conv { weight_bytes, .. } => *weight_bytes,
            _ => 0,
        });
        bytes.fold(0, u64::saturating_add)
    }

    /// Bytes that a run moves between memory and the engine, at least.
    #[must_use]
    pub fn streamed_bytes(&self) -> f64 {
        self.input_bytes as f64 + self.output_bytes as f64 + self.weight_bytes() as f64
    }
}
