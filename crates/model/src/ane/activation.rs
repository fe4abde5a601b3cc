//! The tensors of a training step that go through surfaces, by name.

use crate::ModelConfig;

/// A tensor `[rows, tokens]` of one layer. In formulas, `a` is the residual scale, `W` a weight
/// `[out, in]`, and `d` marks the gradient of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Activation {
    /// `[D]`: the residual stream before the layer.
    Stream,
    /// `[D]`: rms_norm of the residual stream, the input of Wq, Wk and Wv.
    AttentionNorm,
    /// `[Q]`: Wq AttentionNorm, turned by position.
    Query,
    /// `[KV]`: Wk AttentionNorm, turned by position.
    Key,
    /// `[KV]`: Wv AttentionNorm.
    Value,
    /// `[Q]`: Key for every query head; head h has that of key-value head h / (heads / kv_heads).
    KeyRepeated,
    /// `[Q]`: Value for every query head, as in KeyRepeated.
    ValueRepeated,
    /// `[Q]`: softmax(Query Key / sqrt(head_dim), causal) Value.
    Attention,
    /// `[D]`: Wo Attention.
    AttentionBranch,
    /// `[D]`: the residual stream between the halves of a layer, stream + a AttentionBranch.
    MiddleStream,
    /// `[D]`: rms_norm of MiddleStream, the input of W1 and W3.
    FfnNorm,
    /// `[H]`: W1 FfnNorm.
    H1,
    /// `[H]`: W3 FfnNorm.
    H3,
    /// `[H]`: silu(H1) H3.
    Gate,
    /// `[D]`: W2 Gate.
    FfnBranch,
    /// `[D]`: the residual stream behind the layer, MiddleStream + a FfnBranch.
    NextStream,

    /// `[D]`: dNextStream, the gradient behind the layer.
    NextStreamGrad,
    /// `[D]`: dMiddleStream.
    MiddleStreamGrad,
    /// `[D]`: dStream, the gradient before the layer.
    StreamGrad,
    /// `[D]`: a dNextStream, which is the gradient of FfnBranch.
    FfnBranchGrad,
    /// `[H]`: W2^T FfnBranchGrad.
    GateGrad,
    /// `[H]`: through silu(H1) H3.
    H1Grad,
    /// `[H]`: through silu(H1) H3.
    H3Grad,
    /// `[D]`: W1^T H1Grad + W3^T H3Grad.
    FfnNormGrad,
    /// `[D]`: a dMiddleStream, which is the gradient of AttentionBranch.
    AttentionBranchGrad,
    /// `[Q]`: Wo^T AttentionBranchGrad.
    AttentionGrad,
    /// `[heads S, S]`: row h S + i is what query i of head h pays to each key.
    Probabilities,
    /// `[heads S, S]`: AttentionGrad Value, rows as in Probabilities.
    ProbabilityGrads,
    /// `[Q]`: the gradient of Query, still turned.
    QueryGradTurned,
    /// `[Q]`: that of KeyRepeated, still turned: of each query head its part.
    KeyRepeatedGradTurned,
    /// `[KV]`: that of Key, still turned.
    KeyGradTurned,
    /// `[Q]`: that of ValueRepeated.
    ValueRepeatedGrad,
    /// `[Q]`: that of Wq AttentionNorm, turned back.
    QueryGrad,
    /// `[KV]`: that of Wk AttentionNorm, turned back.
    KeyGrad,
    /// `[KV]`: that of Value.
    ValueGrad,
    /// `[D]`: Wq^T QueryGrad, the part of dAttentionNorm that comes through queries.
    NormGradOfQuery,
    /// `[D]`: Wk^T KeyGrad + Wv^T ValueGrad, the other part.
    NormGradOfKeyValue,
}

/// How many rows an activation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Height {
    /// D
    Stream,
    /// Q
    Query,
    /// KV
    KeyValue,
    /// H
    Hidden,
    /// heads S
    Scores,
}

impl Activation {
    /// How many rows it has for sequences of `seq_len` tokens.
    #[must_use]
    pub fn rows(self, config: &ModelConfig, seq_len: usize) -> usize {
        match self.height() {
            Height::Stream => config.dim,
            Height::Query => config.q_width(),
            Height::KeyValue => config.kv_width(),
            Height::Hidden => config.hidden,
            Height::Scores => config.heads * seq_len,
        }
    }

    /// Whether its rows are those of the residual stream.
    #[must_use]
    pub fn is_of_stream(self) -> bool {
        self.height() == Height::Stream
    }

    fn height(self) -> Height {
        match self {
            Self::Stream
            | Self::AttentionNorm
            | Self::AttentionBranch
            | Self::MiddleStream
            | Self::NextStreamGrad
            | Self::MiddleStreamGrad
            | Self::StreamGrad
            | Self::FfnNorm
            | Self::FfnBranch
            | Self::NextStream
            | Self::FfnBranchGrad
            | Self::FfnNormGrad
            | Self::AttentionBranchGrad
            | Self::NormGradOfQuery
            | Self::NormGradOfKeyValue => Height::Stream,
            Self::Query
            | Self::KeyRepeated
            | Self::ValueRepeated
            | Self::Attention
            | Self::AttentionGrad
            | Self::QueryGradTurned
            | Self::KeyRepeatedGradTurned
            | Self::ValueRepeatedGrad
            | Self::QueryGrad => Height::Query,
            Self::Key | Self::Value | Self::KeyGradTurned | Self::KeyGrad | Self::ValueGrad => {
                Height::KeyValue
            }
            Self::H1 | Self::H3 | Self::Gate | Self::GateGrad | Self::H1Grad | Self::H3Grad => {
                Height::Hidden
            }
            Self::Probabilities | Self::ProbabilityGrads => Height::Scores,
        }
    }

    /// Whether the backward pass reads what the forward pass left of it.
    #[must_use]
    pub fn is_kept(self) -> bool {
        matches!(
            self,
            Self::AttentionNorm
                | Self::Query
                | Self::Key
                | Self::Value
                | Self::KeyRepeated
                | Self::ValueRepeated
                | Self::Attention
                | Self::MiddleStream
                | Self::FfnNorm
                | Self::H1
                | Self::H3
                | Self::Gate
        )
    }

    /// Whether it only passes from one program to another, so that the CPU copies its fp16 from
    /// surface to surface and never looks at the values.
    #[must_use]
    pub fn passes_through(self) -> bool {
        matches!(self, Self::Probabilities | Self::ProbabilityGrads)
    }

    /// What the layer behind calls this stream, or the layer before this gradient of it.
    #[must_use]
    pub fn across(self) -> Option<Self> {
        match self {
            Self::NextStream => Some(Self::Stream),
            Self::StreamGrad => Some(Self::NextStreamGrad),
            _ => None,
        }
    }
}
