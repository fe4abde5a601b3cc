"""Writes fixtures/artifact/torch.int8.ptz: a small artifact made by torch alone, by the rules of the
challenge's export, for the reader's tests.

The weights follow a formula that the tests repeat: element i of a tensor whose last dimension is n
is ((7 i mod 251) - 100) / 64 times 1/4, 1 or 4 by (i div n) mod 3. All of them are exact in bf16.

    python python/make_artifact_fixture.py
"""

import io
import pathlib
import zlib

import torch

import check_quantize

OUT = pathlib.Path(__file__).parent.parent / "fixtures/artifact/torch.int8.ptz"

SHAPES = {
    "skip_weights": ([4, 8], torch.float32),
    "tok_emb.weight": ([1024, 65], torch.bfloat16),
    "blocks.0.attn_scale": ([8], torch.float32),
    "blocks.0.attn.c_q.weight": ([257, 256], torch.float32),
    "blocks.0.conv.weight": ([2, 181, 182], torch.float32),
    "norm.weight": ([16], torch.float32),
    "norm.bias": ([16], torch.bfloat16),
}


def weights(shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    i = torch.arange(torch.Size(shape).numel())
    factor = torch.tensor([0.25, 1.0, 4.0])[i // shape[-1] % 3]
    exact = ((7 * i % 251) - 100).float() / 64 * factor
    return exact.reshape(shape).to(dtype)


def main() -> None:
    state = {name: weights(*facts) for name, facts in SHAPES.items()}
    buffer = io.BytesIO()
    torch.save(check_quantize.quantize(state, "reference"), buffer)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(zlib.compress(buffer.getvalue(), 9))
    print(f"{OUT}: {OUT.stat().st_size} bytes, torch {torch.__version__}")


if __name__ == "__main__":
    main()
