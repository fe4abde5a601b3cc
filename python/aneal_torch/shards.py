"""Token shards of parameter-golf.

A file is 256 little-endian int32 [20240520, 1, count, 0, ...], then count uint16 token ids.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

MAGIC = 20240520
VERSION = 1
HEADER_INTS = 256
HEADER_BYTES = 4 * HEADER_INTS


def read_shard(path: Path) -> np.ndarray:
    """The uint16 tokens of a shard; raises ValueError when the file is not exactly one."""
    data = path.read_bytes()
    if len(data) < HEADER_BYTES:
        raise ValueError(f"{path}: {len(data)} bytes is shorter than the {HEADER_BYTES} B header")
    magic, version, count = np.frombuffer(data, "<i4", 3).tolist()
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError(f"{path}: magic {magic} version {version}, not {MAGIC} version {VERSION}")
    if len(data) != HEADER_BYTES + 2 * count:
        expected = HEADER_BYTES + 2 * count
        raise ValueError(f"{path}: {count} tokens need {expected} bytes, the file has {len(data)}")
    return np.frombuffer(data, "<u2", count, HEADER_BYTES)


def write_shard(path: Path, tokens: np.ndarray, vocab_size: int) -> None:
    """Write one shard beside its target and rename it into place."""
    if len(tokens) >= 2**31:
        raise ValueError(f"{len(tokens)} tokens do not fit the int32 count of a shard")
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocab_size:
        raise ValueError(f"a token id lies outside [0, {vocab_size})")
    header = np.zeros(HEADER_INTS, "<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(header.tobytes() + tokens.astype("<u2").tobytes())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
