//! Where the time of a step goes, operation by operation.

use std::time::Instant;

/// An operation of a training step. Products contain their epilogues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Rows of the embedding looked up.
    Embedding,
    /// RMSNorm before a product.
    RmsNorm,
    /// Queries, keys and values with rotary embedding; output with residual.
    AttentionProducts,
    /// Scores, softmax, weighted values.
    Attention,
    /// Hidden layer with SwiGLU; output with residual.
    FeedForwardProducts,
    /// Logits.
    Classifier,
    /// Cross-entropy and its gradient.
    CrossEntropy,
    /// Gradients of the inputs of products, with that of SwiGLU.
    InputGrads,
    /// Operands of weight gradients put in order.
    Packing,
    /// Gradients of weights.
    WeightGrads,
    /// Gradient of attention, scores computed again.
    AttentionBackward,
    /// Rotary embedding turned back.
    RopeBackward,
    /// RMSNorm computed again.
    RmsNormAgain,
    /// Gradient of RMSNorm.
    RmsNormBackward,
    /// Gradient of the embedding's rows.
    EmbeddingBackward,
}

impl Op {
    /// All of them, in the order of a step.
    pub const ALL: [Op; 15] = [
        Op::Embedding,
        Op::RmsNorm,
        Op::AttentionProducts,
        Op::Attention,
        Op::FeedForwardProducts,
        Op::Classifier,
        Op::CrossEntropy,
        Op::InputGrads,
        Op::Packing,
        Op::WeightGrads,
        Op::AttentionBackward,
        Op::RopeBackward,
        Op::RmsNormAgain,
        Op::RmsNormBackward,
        Op::EmbeddingBackward,
    ];

    /// The name shown to users.
    pub fn name(self) -> &'static str {
        match self {
            Op::Embedding => "embedding",
            Op::RmsNorm => "rms_norm",
            Op::AttentionProducts => "wqkv + rope, wo + residual",
            Op::Attention => "attention",
            Op::FeedForwardProducts => "w13 + swiglu, w2 + residual",
            Op::Classifier => "classifier",
            Op::CrossEntropy => "cross_entropy",
            Op::InputGrads => "input gradients + swiglu",
            Op::Packing => "packing of activations",
            Op::WeightGrads => "weight gradients",
            Op::AttentionBackward => "attention backward",
            Op::RopeBackward => "rope backward",
            Op::RmsNormAgain => "rms_norm again",
            Op::RmsNormBackward => "rms_norm backward",
            Op::EmbeddingBackward => "embedding backward",
        }
    }
}

/// Time and work of each operation since the profile was taken last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    entries: [Entry; Op::ALL.len()],
}

/// Sums over all calls of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Entry {
    /// Wall time.
    pub seconds: f64,
    /// Multiplications and additions of matrix products.
    pub flops: f64,
}

impl Profile {
    /// What is known of an operation.
    pub fn entry(&self, op: Op) -> Entry {
        self.entries[op as usize]
    }

    /// Runs and times `work`.
    pub(crate) fn time<R>(&mut self, op: Op, work: impl FnOnce() -> R) -> R {
        self.product(op, 0, work)
    }

    /// Runs and times matrix products of `mul_adds` multiply-adds.
    pub(crate) fn product<R>(&mut self, op: Op, mul_adds: usize, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        let entry = &mut self.entries[op as usize];
        entry.seconds += start.elapsed().as_secs_f64();
        entry.flops += 2.0 * mul_adds as f64;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_where_their_operations_look() {
        for (index, op) in Op::ALL.into_iter().enumerate() {
            assert_eq!(op as usize, index, "{}", op.name());
        }
        let mut profile = Profile::default();
        profile.product(Op::Attention, 21, || ());
        profile.product(Op::Attention, 21, || ());
        assert_eq!(profile.entry(Op::Attention).flops, 84.0);
        assert_eq!(profile.entry(Op::RmsNorm), Entry::default());
    }
}
