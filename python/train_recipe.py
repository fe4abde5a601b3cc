"""Train GolfWide with the recipe of parameter-golf PR #801, in float32 on the CPU.

250 AdamW updates of 20 sequences of 256 tokens (1.28 M tokens), logged as JSON lines.
The recipe's loss scale of 256 serves float16 and is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from safetensors.torch import save_file

from aneal_torch.adamw import AdamWConfig, clip_global_norm, make_adamw
from aneal_torch.byte_tables import load_byte_tables
from aneal_torch.config import GOLFWIDE, ModelConfig
from aneal_torch.model import Decoder
from aneal_torch.scoring import plan_windows, score
from aneal_torch.shards import read_shard


@dataclass(frozen=True)
class Recipe:
    """Everything that the run depends on besides the model and the data."""

    updates: int = 250
    sequences: int = 20
    micro_batch: int = 4
    peak_lr: float = 2e-4
    final_lr_fraction: float = 0.1
    warmup_updates: int = 25
    seed: int = 1337
    val_every: int = 50
    val_targets: int = 65536


def learning_rate(recipe: Recipe, update: int) -> float:
    """Linear warm-up, then a cosine from the peak to `final_lr_fraction` of it."""
    if update < recipe.warmup_updates:
        return recipe.peak_lr * (update + 1) / recipe.warmup_updates
    progress = (update - recipe.warmup_updates) / (recipe.updates - recipe.warmup_updates)
    floor = recipe.final_lr_fraction * recipe.peak_lr
    return floor + 0.5 * (1 + math.cos(math.pi * progress)) * (recipe.peak_lr - floor)


def init_bound(name: str, config: ModelConfig) -> float:
    """Bound of the uniform initial values of a matrix, as in PR #801's trainer."""
    branch = 1 / math.sqrt(2 * config.layers)
    bounds = {
        "tok_embeddings": 0.02,
        "wq": 1 / math.sqrt(config.dim),
        "wk": 1 / math.sqrt(config.dim),
        "wv": 1 / math.sqrt(config.dim),
        "wo": branch / math.sqrt(config.heads * config.head_dim),
        "w1": 1 / math.sqrt(config.hidden),
        "w3": 1 / math.sqrt(config.hidden),
        "w2": branch / math.sqrt(config.dim),
    }
    return bounds[name.split(".")[-2]]


@torch.no_grad()
def initialise(model: Decoder, rng: np.random.Generator) -> None:
    """Uniform matrices in parameter order; norm weights stay 1."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            bound = init_bound(name, model.config)
            values = rng.uniform(-bound, bound, tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(torch.from_numpy(values))


def sample_sequences(
    tokens: np.ndarray, count: int, seq_len: int, rng: np.random.Generator
) -> torch.Tensor:
    """[count, seq_len + 1] at uniformly random offsets of the stream."""
    offsets = rng.integers(0, len(tokens) - seq_len, count)
    rows = np.stack([tokens[offset : offset + seq_len + 1] for offset in offsets])
    return torch.from_numpy(rows.astype(np.int64))


def accumulate_gradients(model: Decoder, batch: torch.Tensor, micro_batch: int) -> float:
    """Gradients of the mean loss over all tokens of the batch; returns that loss."""
    model.zero_grad(set_to_none=True)
    targets = batch.shape[0] * (batch.shape[1] - 1)
    total = 0.0
    for rows in batch.split(micro_batch):
        loss = model.token_losses(rows).sum() / targets
        loss.backward()
        total += loss.item()
    return total


def write_line(log: TextIO, record: dict[str, Any]) -> None:
    """One JSON line, visible at once."""
    log.write(json.dumps(record) + "\n")
    log.flush()


def main() -> None:
    """Run the recipe, writing the log and optionally the trained parameters."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True, help="SentencePiece model")
    parser.add_argument("--data", type=Path, required=True, help="directory of the two shards")
    parser.add_argument("--log", type=Path, required=True, help="JSONL file to write")
    parser.add_argument("--save", type=Path, help="safetensors file for the trained parameters")
    parser.add_argument("--updates", type=int, help="stop after this many updates")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    recipe, config = Recipe(), GOLFWIDE
    train = read_shard(args.data / "fineweb_train_000000.bin")
    val = read_shard(args.data / "fineweb_val_000000.bin")[: recipe.val_targets + 1]
    windows = plan_windows(len(val), config.seq_len, config.seq_len)
    tables = load_byte_tables(args.tokenizer, config.vocab_size)

    init_rng, sample_rng = (np.random.default_rng([recipe.seed, stream]) for stream in range(2))
    model = Decoder(config)
    initialise(model, init_rng)
    adamw = AdamWConfig(lr=recipe.peak_lr)
    optimiser = make_adamw(model, adamw)

    args.log.parent.mkdir(parents=True, exist_ok=True)
    with args.log.open("w") as log:
        write_line(
            log,
            {
                "config": asdict(config),
                "recipe": asdict(recipe),
                "adamw": asdict(adamw),
                "parameters": sum(p.numel() for p in model.parameters()),
                "train_tokens": len(train),
                "torch": torch.__version__,
                "threads": args.threads,
                "cpus": os.cpu_count(),
            },
        )
        seconds = 0.0
        last = recipe.updates if args.updates is None else args.updates
        for update in range(last + 1):
            if update % recipe.val_every == 0:
                started = time.perf_counter()
                result = score(model, val, windows, tables)
                elapsed = time.perf_counter() - started
                write_line(log, {"step": update, **result.to_dict(), "val_seconds": elapsed})
            if update == last:
                break
            started = time.perf_counter()
            lr = learning_rate(recipe, update)
            for group in optimiser.param_groups:
                group["lr"] = lr
            batch = sample_sequences(train, recipe.sequences, config.seq_len, sample_rng)
            loss = accumulate_gradients(model, batch, recipe.micro_batch)
            grad_norm = clip_global_norm(model, adamw.clip)
            optimiser.step()
            seconds += time.perf_counter() - started
            write_line(
                log,
                {
                    "step": update + 1,
                    "loss": loss,
                    "lr": lr,
                    "grad_norm": grad_norm,
                    "tokens": (update + 1) * recipe.sequences * config.seq_len,
                    "seconds": seconds,
                },
            )
    if args.save is not None:
        save_file(model.state_dict(), args.save, {"config": config.to_json()})


if __name__ == "__main__":
    main()
