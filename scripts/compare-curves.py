#!/usr/bin/env python3
"""Lay the curves of a run of aneal and of python/train_recipe.py side by side, as a table.

Usage: scripts/compare-curves.py METRICS.jsonl TORCH.jsonl
"""

import json
import statistics
import sys


def read(path: str) -> list[dict]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    aneal, torch = read(sys.argv[1]), read(sys.argv[2])
    losses = [
        {r["step"]: r["train_loss"] for r in aneal if r.get("event") == "step"},
        {r["step"]: r["loss"] for r in torch if "loss" in r},
    ]
    scores = [
        {r["step"]: r for r in aneal if r.get("event") == "val" and r["what"] != "artifact"},
        {r["step"]: r for r in torch if "val_bpb" in r},
    ]

    print("| update | train loss, aneal | PyTorch | val_loss, aneal | PyTorch | val_bpb, aneal | PyTorch |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for update in sorted(scores[0].keys() & scores[1].keys()):
        window = range(update - 9, update + 1)
        means = [f"{statistics.mean(l[u] for u in window):.4f}" if update else "" for l in losses]
        cells = means + [f"{s[update][key]:.4f}" for key in ("val_loss", "val_bpb") for s in scores]
        print(f"| {update} | " + " | ".join(cells) + " |")

    artifact = next((r for r in aneal if r.get("what") == "artifact"), None)
    if artifact:
        print(f"\nartifact: val_loss {artifact['val_loss']:.4f}, val_bpb {artifact['val_bpb']:.4f}")
    rates = [r["tokens_per_s"] for r in aneal if r.get("event") == "step"]
    tenths = statistics.quantiles(rates, n=10)
    print(
        f"aneal tokens/s: median {statistics.median(rates):.0f}, "
        f"10th and 90th percentile {tenths[0]:.0f} and {tenths[8]:.0f}"
    )


if __name__ == "__main__":
    main()
