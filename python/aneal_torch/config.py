"""The model configuration, with the same field names as its JSON form."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """Shape and constants of a decoder; every field is a key of the JSON object."""

    vocab_size: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    seq_len: int
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    residual_scale: float | None = None

    def __post_init__(self) -> None:
        """Refuse shapes that the model cannot have."""
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim {self.head_dim} is odd; RoPE rotates pairs")

    @property
    def branch_scale(self) -> float:
        """Factor of every residual branch: `residual_scale`, or 1/sqrt(2*layers)."""
        if self.residual_scale is None:
            return 1.0 / math.sqrt(2 * self.layers)
        return self.residual_scale

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build from a JSON object; keys that are not fields are ignored."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})

    def to_json(self) -> str:
        """The configuration as one JSON object."""
        return json.dumps(asdict(self))


GOLFWIDE = ModelConfig(
    vocab_size=1024,
    dim=512,
    layers=9,
    heads=8,
    kv_heads=4,
    head_dim=64,
    hidden=1024,
    seq_len=256,
)
"""The model of parameter-golf PR #801: 21,767,680 parameters."""
