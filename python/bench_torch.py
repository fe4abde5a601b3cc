"""Time PyTorch on request: a worker that does one piece of work for each line it reads.

Lines on standard input: `step`, `update`, `eval [TARGETS [STRIDE]]`, `quit`. Each of the first three
is answered with one JSON line, {"seconds": .., "tokens": ..}. The first line printed, after a warm-up,
describes the worker. `bench/compare` drives it; it can also be used by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
from typing import Any

import torch

from aneal_torch.config import GOLFWIDE
from aneal_torch.speed import Job, Workload, timed_evaluation, timed_step, timed_update
from aneal_torch.twin import ATTENTIONS

PRESETS = {"golfwide": GOLFWIDE}
WARM_UP_STEPS = 2
EVAL_TARGETS = 131_072
EVAL_STRIDE = 64


def say(record: dict[str, Any]) -> None:
    """One JSON line, visible at once."""
    print(json.dumps(record), flush=True)


def check_compiler() -> None:
    """torch.compile builds C++ on the spot; say so before it fails in the middle."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        sys.exit(
            f"torch.compile on the CPU needs a C++ compiler, and {compiler!r} was not found; "
            "install g++, name another in CXX, or use --variant eager"
        )


def answer(workload: Workload, line: str) -> dict[str, Any]:
    """Do what a line asks for."""
    match line.split():
        case ["step"]:
            return timed_step(workload)
        case ["update"]:
            return timed_update(workload)
        case ["eval", *numbers] if len(numbers) <= 2 and all(n.isdigit() for n in numbers):
            defaults = (EVAL_TARGETS, EVAL_STRIDE)
            targets, stride = [int(n) for n in numbers] + list(defaults[len(numbers) :])
            return timed_evaluation(workload, targets, stride)
    raise ValueError(f"{line!r} is not step, update, eval [TARGETS [STRIDE]] or quit")


def main() -> None:
    """Warm up, say so, and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=("eager", "compiled"), required=True)
    parser.add_argument("--precision", choices=("f32", "bf16"), required=True)
    parser.add_argument("--preset", choices=PRESETS, default="golfwide")
    parser.add_argument("--attention", choices=ATTENTIONS, default="sdpa")
    parser.add_argument("--batch-tokens", type=int, default=5120, metavar="N")
    parser.add_argument("--micro-batch-tokens", type=int, default=5120, metavar="N")
    parser.add_argument("--eval-windows", type=int, default=28, help="windows of a batch")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    args = parser.parse_args()

    if args.variant == "compiled":
        check_compiler()
    torch.set_num_threads(args.threads)
    try:
        job = Job(
            config=PRESETS[args.preset],
            compiled=args.variant == "compiled",
            bf16=args.precision == "bf16",
            attention=args.attention,
            batch_tokens=args.batch_tokens,
            micro_batch_tokens=args.micro_batch_tokens,
            eval_windows=args.eval_windows,
        )
    except ValueError as error:
        parser.error(str(error))
    workload = Workload(job)
    for _ in range(WARM_UP_STEPS):
        workload.step()
    say(
        {
            "ready": True,
            "torch": torch.__version__,
            "python": sys.version.split()[0],
            "variant": args.variant,
            "precision": args.precision,
            "attention": args.attention,
            "micro_batch_tokens": args.micro_batch_tokens,
            "eval_windows": args.eval_windows,
            "threads": torch.get_num_threads(),
            "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
    for line in sys.stdin:
        if line.strip() == "quit":
            break
        try:
            say(answer(workload, line.strip()))
        except ValueError as error:
            say({"error": str(error)})


if __name__ == "__main__":
    main()
