"""The model of `model.py` again, written to be fast in PyTorch, for measuring speed.

It computes the same function: the projections that read the same input are one matrix, RoPE rotates
the halves of a head (its rows are permuted to suit), norms are PyTorch's own. Attention is PyTorch's
fused one, or products and a softmax written out, whichever is asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aneal_torch.config import ModelConfig
from aneal_torch.model import Decoder, Layer, rope_tables

ATTENTIONS = ("sdpa", "explicit")


def rotate_halves(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (x[i], x[i + head_dim/2]) of [B, S, heads, head_dim]."""
    first, second = x.chunk(2, -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)


def halves_from_pairs(weight: Tensor, head_dim: int) -> Tensor:
    """Rows of a projection for interleaved pairs, in the order that `rotate_halves` expects."""
    heads = weight.view(-1, head_dim // 2, 2, weight.shape[-1])
    return heads.transpose(1, 2).reshape(weight.shape)


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Causal attention [B, heads, S, head_dim]; the query heads of one kv head are one product."""
    batch, heads, seq, head_dim = q.shape
    kv_heads = k.shape[1]
    rows = (q * head_dim**-0.5).reshape(batch, kv_heads, -1, head_dim)
    scores = (rows @ k.transpose(-2, -1)).view(batch, kv_heads, -1, seq, seq)
    weights = (scores.to(mask.dtype) + mask).softmax(-1).to(v.dtype)
    return (weights.view(batch, kv_heads, -1, seq) @ v).view(batch, heads, seq, head_dim)


class TwinLayer(nn.Module):
    """One decoder layer."""

    def __init__(self, layer: Layer, config: ModelConfig, attention: str) -> None:
        super().__init__()
        self.config = config
        self.attention = attention
        source, forward = layer.attention, layer.feed_forward
        self.attention_norm = nn.Parameter(layer.attention_norm.weight.detach().clone())
        self.ffn_norm = nn.Parameter(layer.ffn_norm.weight.detach().clone())
        queries = halves_from_pairs(source.wq.weight, config.head_dim)
        keys = halves_from_pairs(source.wk.weight, config.head_dim)
        self.wqkv = nn.Parameter(torch.cat((queries, keys, source.wv.weight)).detach())
        self.wo = nn.Parameter(source.wo.weight.detach().clone())
        self.w13 = nn.Parameter(torch.cat((forward.w1.weight, forward.w3.weight)).detach())
        self.w2 = nn.Parameter(forward.w2.weight.detach().clone())

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """[B, S, D] -> [B, S, D]."""
        c = self.config
        batch, seq, dim = x.shape
        normed = F.rms_norm(x, (dim,), self.attention_norm, c.norm_eps)
        heads = F.linear(normed, self.wqkv).view(batch, seq, -1, c.head_dim)
        rotated, v = heads.split((c.heads + c.kv_heads, c.kv_heads), 2)
        q, k = rotate_halves(rotated, cos, sin).split((c.heads, c.kv_heads), 2)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        if self.attention == "sdpa":
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        else:
            mixed = explicit_attention(q, k, v, mask)
        mixed = mixed.transpose(1, 2).reshape(batch, seq, -1)
        x = x + c.branch_scale * F.linear(mixed, self.wo)
        normed = F.rms_norm(x, (dim,), self.ffn_norm, c.norm_eps)
        gate, up = F.linear(normed, self.w13).chunk(2, -1)
        return x + c.branch_scale * F.linear(F.silu(gate) * up, self.w2)


class Twin(nn.Module):
    """The whole model, with the weights of a `Decoder`."""

    def __init__(self, decoder: Decoder, attention: str) -> None:
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(f"attention {attention!r} is not one of {ATTENTIONS}")
        config = decoder.config
        self.config = config
        self.tok_embeddings = nn.Parameter(decoder.tok_embeddings.weight.detach().clone())
        self.layers = nn.ModuleList(TwinLayer(x, config, attention) for x in decoder.layers)
        self.norm = nn.Parameter(decoder.norm.weight.detach().clone())
        like = self.tok_embeddings.detach()
        tables = rope_tables(config.seq_len, config.head_dim, config.rope_theta, like)
        for name, table in zip(("cos", "sin"), tables, strict=True):
            self.register_buffer(name, table[:, None, :], persistent=False)
        future = torch.full((config.seq_len, config.seq_len), -torch.inf).to(like).triu(1)
        self.register_buffer("mask", future, persistent=False)

    def losses(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats [B * n] of the targets [B, n] of the last n of ids [B, S].

        Only those positions go through the classifier; the softmax is of f32 logits at least.
        """
        seq, scored = ids.shape[1], targets.shape[1]
        cos, sin, mask = self.cos[:seq], self.sin[:seq], self.mask[:seq, :seq]
        x = F.embedding(ids, self.tok_embeddings)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        x = F.rms_norm(x[:, seq - scored :], (x.shape[-1],), self.norm, self.config.norm_eps)
        logits = F.linear(x, self.tok_embeddings).flatten(0, 1)
        return F.cross_entropy(logits.to(self.mask.dtype), targets.flatten(), reduction="none")

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The sum of `losses`."""
        return self.losses(ids, targets).sum()
