"""Who is compared: PyTorch workers that stay alive, and aneal started anew each time."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any

BATCH_TOKENS = 5120
EVAL_STRIDE = 64
STEP_REPEATS = 3
EVAL_REPEATS = 1
WHATS = ("step", "update", "eval")
RATE_KEYS = {
    "step": "train_step_tokens_per_s",
    "update": "train_update_tokens_per_s",
    "eval": "eval_tokens_per_s",
}
TORCH_ENVIRONMENT = {
    # Threads that have nothing to do must not take time from the contender at work.
    "OMP_WAIT_POLICY": "passive",
    "KMP_BLOCKTIME": "0",
    # glibc keeps freed memory, so that a step does not fault its buffers in anew; PyTorch is faster.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}


class CompareError(Exception):
    """Something is missing or went wrong; the message says what, and what to do."""


@dataclass(frozen=True)
class Measurement:
    """Tokens, and the seconds that they took."""

    seconds: float
    tokens: int

    @property
    def tokens_per_s(self) -> float:
        """The speed."""
        return self.tokens / self.seconds


class TorchWorker:
    """A `python/bench_torch.py` that waits for work between its turns."""

    maker = "torch"

    def __init__(
        self, command: list[str], log: Path, name: str, precision: str, eval_tokens: int
    ) -> None:
        self.log, self.name = log, name
        self.precision, self.eval_tokens = precision, eval_tokens
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | TORCH_ENVIRONMENT,
            )
        self.ready: dict[str, Any] = {}

    def wait_until_ready(self) -> None:
        """Until it is warm and has said what it is."""
        self.ready = self.read()

    def read(self) -> dict[str, Any]:
        """The worker's next line."""
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            errors = self.log.read_text()[-2000:]
            raise CompareError(f"{self.name} ended unexpectedly:\n{errors}")
        record = json.loads(line)
        if "error" in record:
            raise CompareError(f"{self.name}: {record['error']}")
        return record

    def ask(self, request: str) -> Measurement:
        """One piece of work."""
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        record = self.read()
        return Measurement(record["seconds"], record["tokens"])

    def measure(self, what: str) -> Measurement:
        """The median of repetitions, after one that does not count, as `aneal bench` does it."""
        if what == "eval":
            # The worker itself runs every shape once before it starts its clock.
            return self.ask(f"eval {self.eval_tokens} {EVAL_STRIDE}")
        self.ask(what)
        times = [self.ask(what) for _ in range(STEP_REPEATS)]
        return Measurement(median_low(m.seconds for m in times), times[0].tokens)

    def stop(self) -> None:
        """End the worker, however it is."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Aneal:
    """`aneal bench` in one precision."""

    maker = "aneal"

    def __init__(self, binary: Path, preset: str, precision: str, eval_tokens: int) -> None:
        self.binary, self.preset, self.precision = binary, preset, precision
        self.name, self.eval_tokens = f"aneal {precision}", eval_tokens

    def arguments(self, what: str) -> list[str]:
        """Of the command, without the binary."""
        parts = ["bench", "--only", what, "--preset", self.preset, "--precision", self.precision]
        if what == "eval":
            parts += ["--eval-tokens", str(self.eval_tokens), "--stride", str(EVAL_STRIDE)]
            repeats = EVAL_REPEATS
        else:
            parts += ["--batch-tokens", str(BATCH_TOKENS)]
            repeats = STEP_REPEATS
        return [*parts, "--repeats", str(repeats), "--json"]

    def bench(self, what: str) -> dict[str, Any]:
        """The object that `aneal bench` prints."""
        command = [str(self.binary), *self.arguments(what)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{self.name}, {what}: exit code {done.returncode}\n{done.stderr[-2000:]}"
            raise CompareError(message)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError as error:
            raise CompareError(f"{self.name}, {what}: not one JSON object: {error}") from error

    def measure(self, what: str) -> Measurement:
        """A measurement by a new process."""
        report = self.bench(what)
        if RATE_KEYS[what] not in report:
            raise CompareError(f"{self.name}, {what}: no {RATE_KEYS[what]} in what it printed")
        tokens = self.eval_tokens if what == "eval" else BATCH_TOKENS
        return Measurement(tokens / report[RATE_KEYS[what]], tokens)

    def stop(self) -> None:
        """Nothing stays alive between turns."""
