//! What the CPU does in a step beside filling and reading surfaces.

use aneal_ane::clock::HostWork;

use crate::ModelConfig;

/// A piece of the CPU's work. Names in capitals are those of [`Activation`](super::Activation);
/// `stream` is the residual stream before a layer, `a` the residual scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostOp {
    /// The stream of the first layer from the table of embeddings.
    Embedding,
    /// AttentionNorm of the stream.
    AttentionNorm,
    /// KeyRepeated and ValueRepeated.
    RepeatHeads,
    /// MiddleStream = stream + a AttentionBranch, and its FfnNorm.
    FfnNorm,
    /// Gate, where no program makes it.
    Gate,
    /// NextStream = MiddleStream + a FfnBranch, where no program makes it.
    FfnResidual,
    /// Stream of the first layer into its surface.
    WriteStream,
    /// NextStream of the last layer out of its surface.
    ReadStream,
    /// The norm behind the last layer.
    FinalNorm,
    /// Logits from the tied table of embeddings.
    Classifier,
    /// Softmax, cross-entropy and the gradient of the logits.
    Loss,
    /// The gradient of the final norm's output.
    ClassifierBackward,
    /// The gradient of the table as classifier. Beside everything else.
    ClassifierWeightGrad,
    /// dNextStream of the last layer, and the gradient of the norm's gain.
    FinalNormBackward,
    /// NextStreamGrad of the last layer into its surface.
    WriteStreamGrad,
    /// StreamGrad of the first layer out of its surface.
    ReadStreamGrad,
    /// H1Grad and H3Grad.
    GateBackward,
    /// Copies of what [`HostOp::FfnWeightGrads`] multiplies, which later programs overwrite.
    FfnOperands,
    /// Gradients of W1, W2, W3. Beside everything else.
    FfnWeightGrads,
    /// dMiddleStream, and the gradient of the norm's gain.
    FfnNormBackward,
    /// KeyGradTurned and ValueGrad: sums over the query heads that share a key-value head.
    SumHeads,
    /// QueryGrad and KeyGrad: turned back by position.
    RopeBackward,
    /// Copies of what [`HostOp::AttentionWeightGrads`] multiplies.
    AttentionOperands,
    /// Gradients of Wq, Wk, Wv, Wo. Beside everything else.
    AttentionWeightGrads,
    /// dNextStream of the layer before, and the gradient of the norm's gain.
    AttentionNormBackward,
    /// The gradient of the table as embedding.
    EmbeddingBackward,
    /// Clip, Adam, and the new weights into their surfaces.
    Update,
}

impl HostOp {
    /// What it is counted as in a timeline.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Embedding | Self::EmbeddingBackward => "embedding",
            Self::WriteStream | Self::ReadStream | Self::WriteStreamGrad | Self::ReadStreamGrad => {
                "surfaces"
            }
            Self::AttentionNorm
            | Self::FfnNorm
            | Self::FinalNorm
            | Self::FinalNormBackward
            | Self::FfnNormBackward
            | Self::AttentionNormBackward => "norm",
            Self::RepeatHeads | Self::SumHeads => "heads",
            Self::Gate | Self::GateBackward => "gate",
            Self::FfnResidual => "residual",
            Self::Classifier | Self::ClassifierBackward => "head",
            Self::Loss => "loss",
            Self::ClassifierWeightGrad | Self::FfnWeightGrads | Self::AttentionWeightGrads => "dW",
            Self::FfnOperands | Self::AttentionOperands => "copy",
            Self::RopeBackward => "rope",
            Self::Update => "update",
        }
    }

    /// How much it is for so many tokens, of whose vocabulary `occurring` tokens are in the loss.
    ///
    /// Counts are those of the published cost model (section 2 of the speed facts): a pass of a norm
    /// takes its sums of the residual stream with it. Moves that it does not name are charged as copies.
    #[must_use]
    pub fn work(self, config: &ModelConfig, tokens: usize, occurring: usize) -> HostWork {
        let (d, h) = (config.dim, config.hidden);
        let (q, kv) = (config.q_width(), config.kv_width());
        let count = |rows: usize| rows as f64 * tokens as f64;
        let product = |weights: f64| HostWork::MatMul(2.0 * tokens as f64 * weights);
        let matrix = |out: usize, columns: usize| out as f64 * columns as f64;
        match self {
            Self::AttentionNorm
            | Self::FfnNorm
            | Self::FinalNorm
            | Self::FfnNormBackward
            | Self::AttentionNormBackward => HostWork::Norm(count(d)),
            Self::FinalNormBackward => HostWork::Norm(count(2 * d)),
            Self::WriteStream | Self::ReadStream | Self::WriteStreamGrad | Self::ReadStreamGrad => {
                HostWork::Convert(count(d))
            }
            Self::Gate | Self::GateBackward => HostWork::Gate(count(h)),
            Self::Loss => HostWork::Loss(count(occurring)),
            Self::Classifier | Self::ClassifierBackward | Self::ClassifierWeightGrad => {
                product(matrix(occurring, d))
            }
            Self::FfnWeightGrads => product(3.0 * matrix(h, d)),
            Self::AttentionWeightGrads => product(matrix(2 * (q + kv), d)),
            Self::FfnOperands => HostWork::Copy(count(2 * d + 3 * h)),
            Self::AttentionOperands => HostWork::Copy(count(2 * (d + q + kv))),
            Self::RepeatHeads | Self::SumHeads => HostWork::Copy(count(2 * q)),
            Self::RopeBackward => HostWork::Copy(count(q + kv)),
            Self::Embedding | Self::EmbeddingBackward | Self::FfnResidual => {
                HostWork::Copy(count(d))
            }
            Self::Update => HostWork::Update(config.parameters() as f64),
        }
    }
}
