"""Write the golden fixtures: two tiny models, one backward pass and ten AdamW updates each.

Parameters and tokens are exact in float32 and int32. Everything else is computed from them in
float64 and rounded to float32 once, when stored.

Tensors of a file:
  param.NAME            initial parameters
  tokens                int32 [B, S+1]
  logits                [B, S, V] of tokens[:, :-1]
  token_losses          [B, S], nats
  loss                  [1], their mean
  grad.NAME             gradients of that mean
  adamw.tokens          int32 [10, B, S+1], the batch of each update
  adamw.loss            [10], mean loss before each update
  adamw.grad_norm       [10], global L2 norm before clipping
  adamw.param.NAME      parameters after the ten updates, which start from param.NAME
Metadata: "config" and "adamw", JSON objects. An update scales the gradients by clip/norm when
norm > clip (no epsilon), then takes one AdamW step at constant rate, without decay on rank-1
parameters.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from aneal_torch.adamw import AdamWConfig, clip_global_norm, make_adamw
from aneal_torch.config import ModelConfig
from aneal_torch.model import Decoder

UPDATES = 10
ADAMW = AdamWConfig(lr=3e-3)


@dataclass(frozen=True)
class Case:
    """One fixture."""

    config: ModelConfig
    batch: int
    seed: int


CASES = {
    "gqa": Case(
        ModelConfig(
            vocab_size=97,
            dim=32,
            layers=2,
            heads=4,
            kv_heads=2,
            head_dim=8,
            hidden=48,
            seq_len=24,
        ),
        batch=3,
        seed=801,
    ),
    "mqa_wide_head": Case(
        ModelConfig(
            vocab_size=64,
            dim=24,
            layers=3,
            heads=3,
            kv_heads=1,
            head_dim=16,
            hidden=40,
            seq_len=17,
            rope_theta=5000.0,
            residual_scale=0.7,
        ),
        batch=2,
        seed=802,
    ),
}


@torch.no_grad()
def draw_parameters(model: Decoder, rng: np.random.Generator) -> None:
    """Normal values rounded to float32: matrices 1/sqrt(fan_in), embedding 0.3, norms 1 + 0.2 z."""
    for name, parameter in model.named_parameters():
        values = rng.standard_normal(tuple(parameter.shape))
        if parameter.ndim == 1:
            values = 1.0 + 0.2 * values
        elif name == "tok_embeddings.weight":
            values *= 0.3
        else:
            values /= np.sqrt(parameter.shape[1])
        parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def draw_tokens(case: Case, rng: np.random.Generator) -> torch.Tensor:
    """Uniform ids [B, S+1]."""
    shape = (case.batch, case.config.seq_len + 1)
    return torch.from_numpy(rng.integers(0, case.config.vocab_size, shape))


def snapshot(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies under `prefix`, safe from later in-place updates."""
    return {prefix + name: tensor.detach().clone() for name, tensor in tensors.items()}


def make_case(case: Case) -> dict[str, torch.Tensor]:
    """All tensors of a fixture, floating ones still float64."""
    rng = np.random.default_rng(case.seed)
    model = Decoder(case.config).double()
    draw_parameters(model, rng)
    parameters = dict(model.named_parameters())
    tensors = snapshot("param.", parameters)

    tokens = draw_tokens(case, rng)
    token_losses = model.token_losses(tokens)
    loss = token_losses.mean()
    loss.backward()
    tensors |= {
        "tokens": tokens,
        "logits": model(tokens[:, :-1]).detach(),
        "token_losses": token_losses.detach(),
        "loss": loss.detach().view(1),
    }
    tensors |= snapshot("grad.", {name: p.grad for name, p in parameters.items()})

    batches = torch.stack([draw_tokens(case, rng) for _ in range(UPDATES)])
    optimiser = make_adamw(model, ADAMW)
    losses, norms = [], []
    for batch in batches:
        optimiser.zero_grad()
        loss = model.token_losses(batch).mean()
        loss.backward()
        losses.append(loss.item())
        norms.append(clip_global_norm(model, ADAMW.clip))
        optimiser.step()
    tensors |= {
        "adamw.tokens": batches,
        "adamw.loss": torch.tensor(losses, dtype=torch.float64),
        "adamw.grad_norm": torch.tensor(norms, dtype=torch.float64),
    }
    return tensors | snapshot("adamw.param.", parameters)


def to_stored(tensor: torch.Tensor) -> torch.Tensor:
    """float64 -> float32, int64 -> int32."""
    return tensor.to(torch.float32 if tensor.is_floating_point() else torch.int32).contiguous()


def serialise(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file whose bytes depend on its content alone.

    The library writes the metadata in random order, so the header is written again, in order.
    """
    data = save(tensors, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def main() -> None:
    """Write every case into the output directory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default_out = Path(__file__).resolve().parent.parent / "fixtures" / "golden"
    parser.add_argument("--out", type=Path, default=default_out, help="directory of the fixtures")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        tensors = {key: to_stored(value) for key, value in make_case(case).items()}
        metadata = {"config": case.config.to_json(), "adamw": json.dumps(asdict(ADAMW))}
        (args.out / f"{name}.safetensors").write_bytes(serialise(tensors, metadata))
        norms = ", ".join(f"{norm:.3f}" for norm in tensors["adamw.grad_norm"])
        print(f"{name}: loss {tensors['loss'].item():.6f}, gradient norms {norms}")


if __name__ == "__main__":
    main()
