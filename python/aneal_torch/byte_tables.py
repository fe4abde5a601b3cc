"""Bytes that each target token stands for: the denominator of bits per byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sentencepiece import SentencePieceProcessor

SPACE = "\u2581"
"""How SentencePiece writes a space inside a piece."""


@dataclass(frozen=True)
class ByteTables:
    """Per token id: own bytes, whether a space precedes, whether it is a boundary."""

    base_bytes: np.ndarray
    has_leading_space: np.ndarray
    is_boundary: np.ndarray

    def count(self, previous: np.ndarray, targets: np.ndarray) -> int:
        """Bytes of `targets`; the space of a piece is free right after a boundary token."""
        spaces = self.has_leading_space[targets] & ~self.is_boundary[previous]
        return int(self.base_bytes[targets].sum()) + int(spaces.sum())


def load_byte_tables(tokenizer: Path, vocab_size: int) -> ByteTables:
    """Tables of size max(tokenizer vocabulary, vocab_size) from a SentencePiece model."""
    sp = SentencePieceProcessor(model_file=str(tokenizer))
    size = max(sp.vocab_size(), vocab_size)
    base_bytes = np.zeros(size, np.int64)
    has_leading_space = np.zeros(size, bool)
    is_boundary = np.ones(size, bool)
    for token in range(sp.vocab_size()):
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        is_boundary[token] = False
        if sp.is_byte(token):
            base_bytes[token] = 1
            continue
        piece = sp.id_to_piece(token)
        if piece.startswith(SPACE):
            has_leading_space[token] = True
            piece = piece[len(SPACE) :]
        base_bytes[token] = len(piece.encode())
    return ByteTables(base_bytes, has_leading_space, is_boundary)
