"""AdamW with decay on matrices only, and clipping of the global gradient norm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class AdamWConfig:
    """Hyper-parameters; `clip` bounds the L2 norm of all gradients together."""

    lr: float
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 0.3


def make_adamw(model: nn.Module, config: AdamWConfig, fused: bool = False) -> torch.optim.AdamW:
    """PyTorch's AdamW (decoupled decay); parameters of rank 1 are not decayed.

    `fused` makes one pass over each parameter, with other last bits.
    """
    parameters = list(model.parameters())
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=fused,
    )


def clip_global_norm(model: nn.Module, clip: float) -> float:
    """Scale all gradients by clip/norm when norm > clip; returns the norm before clipping.

    The factor is exact: torch's own `clip_grad_norm_` adds 1e-6 to the norm.
    """
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    squares = sum(float(g.double().square().sum()) for g in gradients)
    norm = squares**0.5
    if norm > clip:
        for gradient in gradients:
            gradient.mul_(clip / norm)
    return norm
