"""Medians, ratios and the table of `bench/compare`."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))

from comparison.summary import Row, columns, ratios, rotated, spread, summarise, table


def row(turn: int, maker: str, variant: str, precision: str, speed: float) -> Row:
    """A turn of 100 tokens."""
    name = " ".join(word for word in (maker, variant, precision) if word)
    return Row(turn, 1, name, maker, precision, "step", 100 / speed, 100, speed)


ROWS = [
    row(1, "torch", "eager", "bf16", 10.0),
    row(1, "torch", "eager", "f32", 5.0),
    row(1, "aneal", "", "bf16", 30.0),
    row(1, "aneal", "", "f32", 10.0),
    row(2, "torch", "eager", "bf16", 20.0),
    row(2, "torch", "eager", "f32", 25.0),
    row(2, "aneal", "", "bf16", 40.0),
    row(2, "aneal", "", "f32", 50.0),
    row(3, "torch", "eager", "bf16", 10.0),
    row(3, "torch", "eager", "f32", 5.0),
    row(3, "aneal", "", "bf16", 20.0),
    row(3, "aneal", "", "f32", 10.0),
]


class SummaryTest(unittest.TestCase):
    """Over three rounds whose ratios are easy."""

    def test_ratios_are_of_one_round(self) -> None:
        """Not of the medians, whose ratio is 3."""
        torch = [r for r in ROWS if r.maker == "torch"]
        self.assertEqual(ratios(ROWS, "aneal bf16", torch), [3.0, 40 / 25, 2.0])

    def test_summary(self) -> None:
        """To the best of all, and of the same precision."""
        entry = summarise(ROWS)["step"]["aneal f32"]
        self.assertEqual(entry["rounds"], 3)
        self.assertEqual(entry["tokens_per_s"], {"median": 10.0, "min": 10.0, "max": 50.0})
        self.assertEqual(entry["ratio_to_best_torch"], {"median": 1.0, "min": 1.0, "max": 2.0})
        same = entry["ratio_to_best_torch_of_its_precision"]
        self.assertEqual(same, {"median": 2.0, "min": 2.0, "max": 2.0})

    def test_without_a_rival_there_is_no_ratio(self) -> None:
        """As for f32 where PyTorch ran in bf16 alone."""
        some = [r for r in ROWS if r.contender in ("torch eager bf16", "aneal f32")]
        entry = summarise(some)["step"]["aneal f32"]
        self.assertIsNone(entry["ratio_to_best_torch_of_its_precision"])
        self.assertIn("| aneal f32 | 10 (10 to 50) | 1.00 (1.00 to 2.50) |  |", self.table(some))

    def table(self, rows: list[Row]) -> str:
        """Of the only job."""
        return table(summarise(rows)["step"])

    def test_table(self) -> None:
        """One line for each contender after two of heading."""
        lines = self.table(ROWS).splitlines()
        self.assertEqual(len(lines), 6)
        self.assertTrue(all(line.count("|") == 5 for line in lines))
        expected = "| aneal bf16 | 30 (20 to 40) | 2.00 (1.60 to 3.00) | 2.00 (2.00 to 3.00) |"
        self.assertIn(expected, lines)

    def test_spread_of_an_even_number(self) -> None:
        """The median is the mean of the middle two."""
        self.assertEqual(spread([4.0, 1.0, 2.0, 9.0]), {"median": 3.0, "min": 1.0, "max": 9.0})

    def test_order_rotates(self) -> None:
        """Everybody begins once."""
        names = ["a", "b", "c"]
        self.assertEqual(rotated(names, 1), ["b", "c", "a"])
        self.assertEqual([rotated(names, turn)[0] for turn in range(4)], ["a", "b", "c", "a"])

    def test_columns(self) -> None:
        """The header of `rows.csv`."""
        expected = ["round", "order", "contender", "what", "seconds", "tokens", "tokens_per_s"]
        self.assertEqual(list(columns(ROWS[0])), expected)


if __name__ == "__main__":
    unittest.main()
