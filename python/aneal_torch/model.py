"""Llama-like decoder with tied embeddings and scaled residual branches.

Shapes: B batch, S sequence, D dim, H hidden, V vocabulary. Weights are [out, in].
`named_parameters()` yields the names and the order that the Rust workspace uses.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aneal_torch.config import ModelConfig


class RmsNorm(nn.Module):
    """x * rsqrt(mean(x^2) + eps) * weight over the last axis."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rope_tables(seq: int, head_dim: int, theta: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine [S, head_dim/2] of pos * theta^(-2i/head_dim), formed in float64."""
    pair = torch.arange(head_dim // 2, dtype=torch.float64)
    frequency = torch.pow(torch.tensor(theta, dtype=torch.float64), -2.0 * pair / head_dim)
    angle = torch.outer(torch.arange(seq, dtype=torch.float64), frequency)
    return angle.cos().to(like), angle.sin().to(like)


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the interleaved pairs (x[2i], x[2i+1]) of [B, heads, S, head_dim]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    rotated = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return rotated.flatten(-2)


class Attention(nn.Module):
    """Causal attention; query head h reads key/value head h // (heads / kv_heads)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        query_width = config.heads * config.head_dim
        kv_width = config.kv_heads * config.head_dim
        self.wq = nn.Linear(config.dim, query_width, bias=False)
        self.wk = nn.Linear(config.dim, kv_width, bias=False)
        self.wv = nn.Linear(config.dim, kv_width, bias=False)
        self.wo = nn.Linear(query_width, config.dim, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[B, S, D] -> [B, S, D]."""
        batch, seq, _ = x.shape
        c = self.config
        q = self.wq(x).view(batch, seq, c.heads, c.head_dim).transpose(1, 2)
        k = self.wk(x).view(batch, seq, c.kv_heads, c.head_dim).transpose(1, 2)
        v = self.wv(x).view(batch, seq, c.kv_heads, c.head_dim).transpose(1, 2)
        group = c.heads // c.kv_heads
        q = rotate_pairs(q, cos, sin)
        k = rotate_pairs(k, cos, sin).repeat_interleave(group, dim=1)
        v = v.repeat_interleave(group, dim=1)
        scores = q @ k.transpose(-2, -1) / math.sqrt(c.head_dim)
        future = torch.ones(seq, seq, dtype=torch.bool, device=x.device).triu(1)
        weights = scores.masked_fill(future, -math.inf).softmax(-1)
        return self.wo((weights @ v).transpose(1, 2).reshape(batch, seq, -1))


class FeedForward(nn.Module):
    """SwiGLU: w2(silu(w1 x) * (w3 x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.dim, config.hidden, bias=False)
        self.w3 = nn.Linear(config.dim, config.hidden, bias=False)
        self.w2 = nn.Linear(config.hidden, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, D] -> [B, S, D]."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    """One decoder layer: two pre-normed residual branches, each scaled."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.branch_scale = config.branch_scale
        self.attention_norm = RmsNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.ffn_norm = RmsNorm(config.dim, config.norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[B, S, D] -> [B, S, D]."""
        x = x + self.branch_scale * self.attention(self.attention_norm(x), cos, sin)
        return x + self.branch_scale * self.feed_forward(self.ffn_norm(x))


class Decoder(nn.Module):
    """The whole model; the classifier is the embedding table."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RmsNorm(config.dim, config.norm_eps)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids [B, S] -> logits [B, S, V]."""
        x = self.tok_embeddings(ids)
        cos, sin = rope_tables(ids.shape[1], self.config.head_dim, self.config.rope_theta, x)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x) @ self.tok_embeddings.weight.T

    def token_losses(self, tokens: Tensor) -> Tensor:
        """Cross-entropy in nats [B, S] of predicting tokens[:, 1:] from tokens[:, :-1]."""
        logits = self(tokens[:, :-1])
        return F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
