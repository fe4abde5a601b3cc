"""Validation loss and bits per byte over a token stream.

A window reads tokens[start : start + length] and predicts the token after each of them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import groupby

import numpy as np
import torch

from aneal_torch.byte_tables import ByteTables
from aneal_torch.model import Decoder

WINDOWS_PER_BATCH = 8


@dataclass(frozen=True)
class Window:
    """Inputs [start, start + length); only the last `scored` targets count."""

    start: int
    length: int
    scored: int


@dataclass(frozen=True)
class Score:
    """val_loss in nats per token, val_bpb in bits per byte, and their denominators."""

    val_loss: float
    val_bpb: float
    tokens: int
    bytes: int

    def to_dict(self) -> dict[str, float | int]:
        """The four fields, ready for JSON."""
        return asdict(self)


def plan_windows(token_count: int, seq_len: int, stride: int) -> list[Window]:
    """Windows over `token_count` tokens, that is over the targets 1 .. token_count - 1.

    stride == seq_len: disjoint full windows, the remainder is dropped (the reference score).
    stride < seq_len: full windows at 0, stride, 2*stride, ...; the first scores all its targets,
    later ones their last `stride`; if targets remain, one more window ends at the last target.
    Every target is then scored exactly once, also when the stream is shorter than one window.
    """
    if not 1 <= stride <= seq_len:
        raise ValueError(f"stride {stride} is not in 1..={seq_len}")
    targets = token_count - 1
    if targets < (seq_len if stride == seq_len else 1):
        raise ValueError(f"{token_count} tokens are too few for windows of {seq_len}")
    starts = range(0, targets - seq_len + 1, stride)
    windows = [Window(start, seq_len, stride if start else seq_len) for start in starts]
    if stride == seq_len:
        return windows
    done = windows[-1].start + seq_len if windows else 0
    if done < targets:
        length = min(seq_len, targets)
        windows.append(Window(targets - length, length, targets - done))
    return windows


@torch.no_grad()
def score(model: Decoder, tokens: np.ndarray, windows: list[Window], tables: ByteTables) -> Score:
    """Score the windows; sums are float64."""
    loss_sum, token_sum, byte_sum = 0.0, 0, 0
    for length, group in groupby(windows, key=lambda window: window.length):
        run = list(group)
        for first in range(0, len(run), WINDOWS_PER_BATCH):
            batch = run[first : first + WINDOWS_PER_BATCH]
            rows = np.stack([tokens[w.start : w.start + length + 1] for w in batch])
            rows = rows.astype(np.int64)
            losses = model.token_losses(torch.from_numpy(rows)).double().numpy()
            for row, loss, window in zip(rows, losses, batch, strict=True):
                loss_sum += float(loss[length - window.scored :].sum())
                token_sum += window.scored
                scored = row[length - window.scored :]
                byte_sum += tables.count(scored[:-1], scored[1:])
    if byte_sum == 0:
        raise ValueError("the scored targets stand for no bytes; wrong tokenizer?")
    val_loss = loss_sum / token_sum
    return Score(val_loss, val_loss / math.log(2) * token_sum / byte_sum, token_sum, byte_sum)
