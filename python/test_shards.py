"""Shards come back as written, and files that are not exactly a shard are refused."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from aneal_torch.shards import HEADER_BYTES, read_shard, write_shard
from make_shards import split_documents, validation_start

TOKENS = np.array([1, 5, 1023, 0])


class ShardTest(unittest.TestCase):
    """`read_shard` and `write_shard`."""

    def setUp(self) -> None:
        """A folder for one shard."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "fineweb_val_000000.bin"

    def test_tokens_come_back_and_nothing_else_is_left(self) -> None:
        """The header begins with the bytes 88 d8 34 01."""
        write_shard(self.path, TOKENS, 1024)
        self.assertEqual(read_shard(self.path).tolist(), TOKENS.tolist())
        self.assertEqual(self.path.read_bytes()[:4].hex(), "88d83401")
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

    def test_damaged_files_are_refused(self) -> None:
        """Cut, extended, other magic, other version, header only in part."""
        write_shard(self.path, TOKENS, 1024)
        good = self.path.read_bytes()
        other_version = good[:4] + b"\x02" + good[5:]
        for bad in (good[:-1], good + b"\0\0", b"\0" + good[1:], other_version, good[:100]):
            self.path.write_bytes(bad)
            with self.assertRaises(ValueError):
                read_shard(self.path)

    def test_ids_outside_the_vocabulary_are_not_written(self) -> None:
        """No file appears."""
        for bad in ([1024], [-1]):
            with self.assertRaises(ValueError):
                write_shard(self.path, np.array(bad), 1024)
        self.assertEqual(list(self.path.parent.iterdir()), [])

    def test_an_empty_shard_is_a_header(self) -> None:
        """Zero tokens are valid."""
        write_shard(self.path, TOKENS[:0], 1024)
        self.assertEqual(self.path.stat().st_size, HEADER_BYTES)
        self.assertEqual(len(read_shard(self.path)), 0)


class SplitTest(unittest.TestCase):
    """Documents and the validation cut."""

    def test_only_whole_separator_lines_split(self) -> None:
        """Other occurrences are text; blank documents vanish."""
        text = "a\nb\n<|doc|>\n<|doc|>\nc <|doc|>\n\n<|doc|>\nd\n"
        self.assertEqual(split_documents(text), ["a\nb", "c <|doc|>\n", "d\n"])

    def test_validation_is_the_smallest_sufficient_tail(self) -> None:
        """5 % of 100 bytes: a last document of 5 suffices, one of 4 does not; bytes, not chars."""
        self.assertEqual(validation_start(["x" * 95, "y" * 5]), 1)
        self.assertEqual(validation_start(["x" * 90, "z" * 6, "y" * 4]), 1)
        self.assertEqual(validation_start(["x" * 94, "\u00e9" * 3]), 1)


if __name__ == "__main__":
    unittest.main()
