"""The windows score every target once, and the byte tables match the official tokenizer."""

import hashlib
import json
import math
import os
import sys
import unittest
from pathlib import Path

import numpy as np
import torch

from aneal_torch.byte_tables import ByteTables, load_byte_tables
from aneal_torch.config import ModelConfig
from aneal_torch.model import Decoder
from aneal_torch.scoring import Window, plan_windows, score

WORKSPACE = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("ANEAL_SHARED", WORKSPACE.parent / "shared"))
TABLE_SHA256 = {
    "base_bytes": "b3def304f9fb3d5799ab991e7eb963ebfae736fc07aff7f3300de6ea65481ae1",
    "has_leading_space": "4689335ac0a81a17539bf4b2e9bff99377ee9f7332288598accfb11f75fb78f8",
    "is_boundary": "4c20682ae214faba016a81eb6afc295199358426f32ac7e6d534b17e9e2c0384",
}


class WindowTest(unittest.TestCase):
    """`plan_windows` against its definition."""

    def test_sliding_windows_score_every_target_once(self) -> None:
        """Over stream lengths around every edge case."""
        for seq_len, stride in ((8, 3), (8, 4), (8, 1), (8, 7)):
            for count in range(2, 40):
                scored = []
                for window in plan_windows(count, seq_len, stride):
                    end = window.start + window.length
                    self.assertLessEqual(end, count - 1)
                    scored += range(end - window.scored + 1, end + 1)
                self.assertEqual(scored, list(range(1, count)), (seq_len, stride, count))

    def test_last_window_ends_at_the_last_target(self) -> None:
        """13 targets: full windows at 0 and 4, then one at 5 for the thirteenth."""
        expected = [Window(0, 8, 8), Window(4, 8, 4), Window(5, 8, 1)]
        self.assertEqual(plan_windows(14, 8, 4), expected)

    def test_standard_windows_drop_the_remainder(self) -> None:
        """The reference scores floor((n - 1) / seq_len) disjoint windows."""
        self.assertEqual(plan_windows(24, 8, 8), [Window(0, 8, 8), Window(8, 8, 8)])

    def test_impossible_requests_are_refused(self) -> None:
        """Stride out of range, or too few tokens."""
        for count, seq_len, stride in ((20, 8, 0), (20, 8, 9), (8, 8, 8), (1, 8, 4)):
            with self.assertRaises(ValueError):
                plan_windows(count, seq_len, stride)


class ScoreTest(unittest.TestCase):
    """`score` against one forward pass for each target."""

    def test_sliding_score_is_the_mean_over_targets(self) -> None:
        """A tiny model, 30 tokens, windows of 8 that slide by 3."""
        config = ModelConfig(
            vocab_size=5, dim=8, layers=1, heads=2, kv_heads=1, head_dim=4, hidden=12, seq_len=8
        )
        torch.manual_seed(9)
        model = Decoder(config).double()
        tokens = np.random.default_rng(9).integers(0, 5, 30)
        tables = ByteTables(
            base_bytes=np.array([0, 1, 2, 3, 4]),
            has_leading_space=np.array([False, False, False, True, True]),
            is_boundary=np.array([True, False, False, False, False]),
        )
        nats, byte_count = 0.0, 0
        for target in range(1, 30):
            steps = -(-max(target - 8, 0) // 3)
            start = min(3 * steps, 29 - 8)
            logits = model(torch.from_numpy(tokens[None, start:target]))[0, -1]
            nats -= logits.log_softmax(-1)[tokens[target]].item()
            byte_count += int(tables.base_bytes[tokens[target]])
            byte_count += int(tokens[target] >= 3 and tokens[target - 1] != 0)
        found = score(model, tokens, plan_windows(30, 8, 3), tables)
        self.assertEqual((found.tokens, found.bytes), (29, byte_count))
        self.assertAlmostEqual(found.val_loss, nats / 29, places=12)
        self.assertAlmostEqual(found.val_bpb, nats / math.log(2) / byte_count, places=12)


class ByteTableTest(unittest.TestCase):
    """Against figures of the official sp1024 tokenizer and validation shard."""

    def setUp(self) -> None:
        """Third-party data lives outside the repository."""
        self.data = SHARED / "data"
        self.tokenizer = self.data / "golf_fineweb_1024_bpe.model"
        if not self.tokenizer.exists():
            print(f"skipped: {self.tokenizer.name} absent", file=sys.stderr)
            self.skipTest("tokenizer absent")
        self.tables = load_byte_tables(self.tokenizer, 1024)

    def test_tables_have_the_known_digests(self) -> None:
        """As one byte per token id."""
        for field, digest in TABLE_SHA256.items():
            values = getattr(self.tables, field).astype(np.uint8).tobytes()
            self.assertEqual(hashlib.sha256(values).hexdigest(), digest, field)

    def test_first_validation_window_is_2648_bytes(self) -> None:
        """The first 1,024 targets of the official validation shard."""
        fixture = json.loads((self.data / "val_first_1025_tokens.json").read_text())
        tokens = np.array(fixture["tokens"])
        self.assertEqual(len(tokens), 1025)
        self.assertEqual(self.tables.count(tokens[:-1], tokens[1:]), 2648)


if __name__ == "__main__":
    unittest.main()
