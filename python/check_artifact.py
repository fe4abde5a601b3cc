"""Score a submission artifact with PyTorch alone and compare with a score from elsewhere.

Prints {"val_loss", "val_bpb", "tokens", "bytes"}. With --expect-json the exit code is 1 unless
tokens and bytes are equal and the bits per byte agree within --tolerance.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from aneal_torch.artifact import dequantise, read_artifact
from aneal_torch.byte_tables import load_byte_tables
from aneal_torch.config import ModelConfig
from aneal_torch.model import Decoder
from aneal_torch.scoring import Score, plan_windows, score
from aneal_torch.shards import read_shard


def load_model(artifact_path: Path, config_path: Path | None) -> Decoder:
    """The artifact's model in float32; a configuration file overrides `model_config`."""
    artifact = read_artifact(artifact_path)
    if config_path is not None:
        values = json.loads(config_path.read_text())
    elif "model_config" in artifact:
        values = artifact["model_config"]
    else:
        raise ValueError(f"{artifact_path} has no model_config; give one with --config")
    model = Decoder(ModelConfig.from_dict(values))
    model.load_state_dict(dequantise(artifact), strict=True)
    return model


def differences(found: Score, expected: dict[str, Any], tolerance: float) -> list[str]:
    """What disagrees, in words; empty when nothing does."""
    problems = []
    gap = abs(found.val_bpb - expected["val_bpb"])
    if not gap <= tolerance:
        problems.append(
            f"val_bpb {found.val_bpb:.8f} here, {expected['val_bpb']:.8f} expected: "
            f"they differ by {gap:.2e}, more than {tolerance:.2e}"
        )
    for key in ("tokens", "bytes"):
        if getattr(found, key) != expected[key]:
            problems.append(f"{key} {getattr(found, key)} here, {expected[key]} expected")
    return problems


def main() -> int:
    """Score, print, compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="SentencePiece model")
    parser.add_argument("--data", type=Path, required=True, help="validation shard")
    parser.add_argument("--config", type=Path, help="model configuration as a JSON object")
    parser.add_argument(
        "--stride", type=int, default=64, help="equal to --seq-len for the standard score"
    )
    parser.add_argument("--seq-len", type=int, help="window length; default: the model's")
    parser.add_argument("--max-tokens", type=int, help="score at most this many targets")
    parser.add_argument("--expect-json", type=Path, help="file holding the expected score")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="in bits per byte")
    args = parser.parse_args()

    model = load_model(args.artifact, args.config)
    seq_len = model.config.seq_len if args.seq_len is None else args.seq_len
    tokens = read_shard(args.data)
    if args.max_tokens is not None:
        tokens = tokens[: args.max_tokens + 1]
    windows = plan_windows(len(tokens), seq_len, args.stride)
    tables = load_byte_tables(args.tokenizer, model.config.vocab_size)
    result = score(model, tokens, windows, tables)
    print(json.dumps(result.to_dict()))

    if args.expect_json is None:
        return 0
    expected = json.loads(args.expect_json.read_text())
    problems = differences(result, expected, args.tolerance)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
