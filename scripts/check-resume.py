#!/usr/bin/env python3
"""Kill a training run at random moments and see that it ends as if it had never been killed.

Usage: scripts/check-resume.py ANEAL [--kills 20] [--seed N]

A small run is made once without interruption. Then the same run is started, killed with SIGKILL
after a random time, and resumed, until it has been killed so often; the last session runs to the
end. Weights, moments, artifact and the recorded losses must be the same bytes.
"""

import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

SETTINGS = {
    "model.dim": 64,
    "model.layers": 2,
    "model.heads": 4,
    "model.kv_heads": 2,
    "model.head_dim": 16,
    "model.hidden": 128,
    "model.seq_len": 64,
    "batch.tokens": 512,
    "batch.grad_accum": 2,
    "data.sampler": "uniform",
    "eval.every": 40,
    "eval.max_tokens": 8192,
    "checkpoint.every": 5,
    "sample.every": 50,
    "sample.max_tokens": 20,
    "loss_scale": 256.0,
}
STEPS = 400


def command(aneal: str, run: pathlib.Path) -> list[str]:
    """Starts the run, or continues it where its folder exists already."""
    if (run / "config.toml").exists():
        return [aneal, "train", "--resume", str(run)]
    flags = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    return [aneal, "train", "--out", str(run), f"--steps={STEPS}", *flags]


def kill_after(arguments: list[str], seconds: float) -> bool:
    """Whether the process was killed after so many seconds, rather than ending by itself."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        if code != 0:
            log.seek(0)
            sys.exit(f"{arguments} ended with {code}:\n{log.read().decode()}")
        return False


def losses(run: pathlib.Path) -> list[tuple]:
    """The recorded updates, without what depends on the clock."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    keys = ("step", "tokens", "train_loss", "lr", "grad_norm", "loss_scale")
    return [tuple(r[k] for k in keys) for r in records if r["event"] == "step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("aneal", help="the binary")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    print(f"seed {options.seed}")

    with tempfile.TemporaryDirectory() as folder:
        whole, killed = pathlib.Path(folder, "whole"), pathlib.Path(folder, "killed")
        start = time.monotonic()
        subprocess.run(command(options.aneal, whole), check=True, capture_output=True)
        length = time.monotonic() - start
        print(f"uninterrupted: {STEPS} updates in {length:.1f} s")

        kills, steps = 0, []
        while kills < options.kills:
            # On average the kills spread over the run; short sessions die while starting up. One
            # that reaches its end does not count, and is followed by kills in the end stage.
            seconds = chance.uniform(0.0, 3.0 * length / options.kills)
            if kill_after(command(options.aneal, killed), seconds):
                kills += 1
                saved = sorted((killed / "checkpoints").glob("step-*"))
                steps.append(saved[-1].name.removeprefix("step-") if saved else "nothing")
        subprocess.run(command(options.aneal, killed), check=True, capture_output=True)
        print(f"killed {kills} times, having saved step: {' '.join(steps)}")

        last = f"checkpoints/step-{STEPS:06}"
        files = [f"{last}/model.safetensors", f"{last}/optimizer.safetensors", "artifact.bin"]
        for file in files:
            if (whole / file).read_bytes() != (killed / file).read_bytes():
                sys.exit(f"{file} differs")
        if losses(whole) != losses(killed):
            sys.exit("the recorded losses differ")
        left = [p.name for p in (killed / "checkpoints").iterdir() if p.name.startswith(".")]
        if left:
            sys.exit(f"left behind: {left}")
    print(f"the same bytes: {', '.join(files)}, and {STEPS} recorded updates")


if __name__ == "__main__":
    main()
