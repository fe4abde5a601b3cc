"""Medians, ratios of each round, and the table made of them. Pure functions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """One contender's turn in one round."""

    round: int
    order: int
    contender: str
    maker: str
    precision: str
    what: str
    seconds: float
    tokens: int
    tokens_per_s: float


def rotated(names: list[str], turn: int) -> list[str]:
    """The names in order, beginning with another one each turn."""
    start = turn % len(names)
    return names[start:] + names[:start]


def spread(values: list[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def ratios(rows: list[Row], contender: str, rivals: list[Row]) -> list[float]:
    """In every round, the contender's speed over that of the fastest rival in the same round."""
    best: dict[int, float] = {}
    for row in rivals:
        best[row.round] = max(row.tokens_per_s, best.get(row.round, 0.0))
    mine = [row for row in rows if row.contender == contender]
    return [row.tokens_per_s / best[row.round] for row in mine if row.round in best]


def summarise(rows: list[Row]) -> dict[str, dict[str, dict[str, Any]]]:
    """For each job and contender: tokens/s, and ratios to the best PyTorch of its round."""
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for what in dict.fromkeys(row.what for row in rows):
        job = [row for row in rows if row.what == what]
        torch = [row for row in job if row.maker == "torch"]
        contenders = {
            row.contender: row.precision for row in sorted(job, key=lambda r: r.contender)
        }
        summary[what] = {}
        for name, precision in contenders.items():
            speeds = [row.tokens_per_s for row in job if row.contender == name]
            entry: dict[str, Any] = {"rounds": len(speeds), "tokens_per_s": spread(speeds)}
            rivals = {
                "ratio_to_best_torch": torch,
                "ratio_to_best_torch_of_its_precision": [
                    row for row in torch if row.precision == precision
                ],
            }
            for key, others in rivals.items():
                values = ratios(job, name, others)
                entry[key] = spread(values) if values else None
            summary[what][name] = entry
    return summary


def show(values: dict[str, float] | None, digits: int) -> str:
    """Median and extremes for a table."""
    if values is None:
        return ""
    number = f",.{digits}f"
    extremes = f"{values['min']:{number}} to {values['max']:{number}}"
    return f"{values['median']:{number}} ({extremes})"


def table(entries: dict[str, dict[str, Any]]) -> str:
    """One job's contenders in Markdown."""
    lines = [
        "| | tokens/s | to the best PyTorch | to the best PyTorch of its precision |",
        "|---|---:|---:|---:|",
    ]
    for name, entry in entries.items():
        cells = (
            show(entry["tokens_per_s"], 0),
            show(entry["ratio_to_best_torch"], 2),
            show(entry["ratio_to_best_torch_of_its_precision"], 2),
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def columns(row: Row) -> dict[str, Any]:
    """A row of `rows.csv`."""
    kept = ("round", "order", "contender", "what", "seconds", "tokens", "tokens_per_s")
    values = asdict(row)
    return {name: values[name] for name in kept}
