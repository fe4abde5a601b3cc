"""Reading a submission artifact: zlib over torch.save of int8 rows with scales.

The dictionary is parameter-golf's `int8_clean_per_row_v1`, plus `model_config`, the fields of
`ModelConfig`.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FORMAT = "int8_clean_per_row_v1"


def read_artifact(path: Path) -> dict[str, Any]:
    """The dictionary of an artifact, loaded without running any code in it."""
    try:
        raw = zlib.decompress(path.read_bytes())
    except zlib.error as error:
        raise ValueError(f"{path}: not a zlib stream: {error}") from error
    artifact = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    found = artifact.get("__quant_format__") if isinstance(artifact, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path}: __quant_format__ is {found!r}, expected {FORMAT!r}")
    return artifact


def named_dtype(name: str) -> torch.dtype:
    """The torch dtype that a string such as "float32" names."""
    dtype = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"{name!r} is not a torch dtype")
    return dtype


def dequantise(artifact: dict[str, Any]) -> dict[str, Tensor]:
    """Parameters by name: int8 times its scale in float32, passthrough in its recorded dtype."""
    per_row = artifact.get("qmeta", {})
    parameters = {}
    for name, values in artifact["quantized"].items():
        scale = artifact["scales"][name].float()
        if scale.ndim > 0 or per_row.get(name, {}).get("scheme") == "per_row":
            scale = scale.view(-1, *[1] * (values.ndim - 1))
        parameters[name] = (values.float() * scale).to(named_dtype(artifact["dtypes"][name]))
    recorded = artifact.get("passthrough_orig_dtypes", {})
    for name, values in artifact["passthrough"].items():
        dtype = named_dtype(recorded[name]) if name in recorded else values.dtype
        parameters[name] = values.to(dtype)
    return parameters
