"""What is timed: a step, an update, and sliding-window evaluation, over random tokens."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn

from aneal_torch.adamw import AdamWConfig, make_adamw
from aneal_torch.config import ModelConfig
from aneal_torch.model import Decoder
from aneal_torch.scoring import plan_windows
from aneal_torch.twin import Twin

SEED = 1
CLIP = 1.0


@dataclass(frozen=True)
class Job:
    """A model, how it is run, and in what portions."""

    config: ModelConfig
    compiled: bool
    bf16: bool
    attention: str
    batch_tokens: int
    micro_batch_tokens: int
    eval_windows: int

    def __post_init__(self) -> None:
        """Refuse portions that do not divide."""
        batch, micro, seq = self.batch_tokens, self.micro_batch_tokens, self.config.seq_len
        if min(batch, micro, self.eval_windows) < 1:
            raise ValueError("batches hold at least one sequence")
        if batch % micro or micro % seq:
            raise ValueError(f"{batch} tokens are not whole micro-batches of {micro} = n x {seq}")


class Workload:
    """The model with its optimiser and tokens."""

    def __init__(self, job: Job) -> None:
        torch.manual_seed(SEED)
        self.job = job
        decoder = Decoder(job.config)
        nn.init.normal_(decoder.tok_embeddings.weight, std=0.02)
        self.model = Twin(decoder, job.attention)
        self.optimiser = make_adamw(self.model, AdamWConfig(lr=1e-4, clip=CLIP), fused=True)
        sequences = job.batch_tokens // job.config.seq_len
        self.batch = self.random_ids(sequences, job.config.seq_len + 1)
        self.total, self.losses = self.model.forward, self.model.losses
        if job.compiled:
            self.total = torch.compile(self.total, dynamic=False)
            self.losses = torch.compile(self.losses, dynamic=False)

    def random_ids(self, *shape: int) -> Tensor:
        """Token ids, whose values do not change how long anything takes."""
        return torch.randint(self.job.config.vocab_size, shape)

    def autocast(self) -> torch.autocast:
        """bf16 operands of products, where asked for."""
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.job.bf16)

    def step(self) -> float:
        """Gradients of the mean loss over the batch; returns that loss."""
        self.model.zero_grad(set_to_none=True)
        loss_sum = 0.0
        for rows in self.batch.split(self.job.micro_batch_tokens // self.job.config.seq_len):
            with self.autocast():
                loss = self.total(rows[:, :-1], rows[:, 1:]) / self.job.batch_tokens
            loss.backward()
            loss_sum += loss.item()
        return loss_sum

    def update(self) -> float:
        """A step, clipping and AdamW; returns the loss before."""
        loss = self.step()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimiser.step()
        return loss

    def plan(self, targets: int, stride: int) -> list[tuple[Tensor, int]]:
        """Batches of windows [B, length + 1] over that many targets, with the targets scored."""
        stream = self.random_ids(targets + 1)
        batches = []
        windows = plan_windows(targets + 1, self.job.config.seq_len, stride)
        for (length, scored), group in groupby(windows, key=lambda w: (w.length, w.scored)):
            rows = torch.stack([stream[w.start : w.start + length + 1] for w in group])
            batches += [(batch, scored) for batch in rows.split(self.job.eval_windows)]
        return batches

    @torch.inference_mode()
    def evaluate(self, batches: list[tuple[Tensor, int]]) -> tuple[float, int]:
        """The sum of the losses, and how many there are."""
        nats, count = 0.0, 0
        for rows, scored in batches:
            with self.autocast():
                losses = self.losses(rows[:, :-1], rows[:, -scored:])
            nats += losses.double().sum().item()
            count += losses.numel()
        return nats, count


def timed_step(workload: Workload) -> dict[str, float]:
    """One step, timed."""
    start = time.perf_counter()
    workload.step()
    return {"seconds": time.perf_counter() - start, "tokens": workload.job.batch_tokens}


def timed_update(workload: Workload) -> dict[str, float]:
    """One update, timed."""
    start = time.perf_counter()
    workload.update()
    return {"seconds": time.perf_counter() - start, "tokens": workload.job.batch_tokens}


def timed_evaluation(workload: Workload, targets: int, stride: int) -> dict[str, float]:
    """One evaluation, timed after one batch of every shape that does not count."""
    batches = workload.plan(targets, stride)
    workload.evaluate(list({(rows.shape, n): (rows, n) for rows, n in batches}.values()))
    start = time.perf_counter()
    _, tokens = workload.evaluate(batches)
    return {"seconds": time.perf_counter() - start, "tokens": tokens}
