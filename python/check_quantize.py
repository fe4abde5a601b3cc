"""Checks a quantised artifact against its weights, with torch alone.

    python python/check_quantize.py --weights model.safetensors --artifact artifact.bin \
        --scheme per_row|reference

Quantises the float32 tensors of the safetensors file anew and compares every stored byte: int8
values, scales, tensors that pass through, and what the dictionary says of them. Exits with 1 and
names the first difference, or with 0.

The reference scheme calls torch.quantile, whose rank is computed in float64 since mid-2026; the
artifact follows that, so an older torch may differ in a rare last bit. Known to agree: 2.15.
"""

import argparse
import io
import sys
import zlib

import torch

FORMAT = "int8_clean_per_row_v1"
MAX_PASSTHROUGH = 65_536
CLIP_QUANTILE = 0.9999984
# The least normal float16: no step of the per-row scheme is finer.
MIN_SCALE = 2.0**-14
CONTROL_PATTERNS = (
    "attn_scale",
    "attn_scales",
    "mlp_scale",
    "mlp_scales",
    "resid_mix",
    "resid_mixes",
    "q_gain",
    "skip_weight",
    "skip_weights",
)


def clip_of(magnitudes: torch.Tensor, scheme: str) -> torch.Tensor:
    """The clip of each row of a matrix, or of a vector."""
    if scheme == "reference":
        return torch.quantile(magnitudes, CLIP_QUANTILE, dim=-1)
    return magnitudes.amax(dim=-1)


def to_ints(tensor: torch.Tensor, clip: torch.Tensor, divisor: torch.Tensor) -> torch.Tensor:
    steps = torch.round(tensor.clamp(-clip, clip) / divisor)
    return steps.clamp(-127, 127).to(torch.int8)


def quantize_tensor(tensor: torch.Tensor, scheme: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The int8 values and the scales that are stored."""
    tensor = tensor.float()
    if tensor.ndim != 2:
        clip = clip_of(tensor.abs().flatten(), scheme)
        scale = torch.tensor(clip.item() / 127 if clip > 0 else 1.0, dtype=torch.float32)
        return to_ints(tensor, clip, scale), scale
    clip = clip_of(tensor.abs(), scheme)
    if scheme == "reference":
        divisor = (clip / 127.0).clamp_min(1.0 / 127.0)
        scale = divisor.to(torch.float16)
    else:
        scale = (clip / 127.0).clamp_min(MIN_SCALE).to(torch.float16)
        divisor = scale.float()
    return to_ints(tensor, clip[:, None], divisor[:, None]), scale


def quantize(state: dict[str, torch.Tensor], scheme: str) -> dict:
    """The dictionary that an artifact of `state` holds."""
    quantized, scales, dtypes, passthrough, qmeta, originals = {}, {}, {}, {}, {}, {}
    for name, tensor in state.items():
        dtype = str(tensor.dtype).removeprefix("torch.")
        if not tensor.is_floating_point():
            passthrough[name] = tensor
        elif tensor.numel() > MAX_PASSTHROUGH:
            quantized[name], scales[name] = quantize_tensor(tensor, scheme)
            dtypes[name] = dtype
            if tensor.ndim == 2:
                qmeta[name] = {"scheme": "per_row", "axis": 0}
        elif any(pattern in name for pattern in CONTROL_PATTERNS):
            passthrough[name] = tensor.float()
        else:
            passthrough[name] = tensor.to(torch.float16)
            originals[name] = dtype
    dictionary = {
        "__quant_format__": FORMAT,
        "quantized": quantized,
        "scales": scales,
        "dtypes": dtypes,
        "passthrough": passthrough,
    }
    if qmeta:
        dictionary["qmeta"] = qmeta
    if originals:
        dictionary["passthrough_orig_dtypes"] = originals
    return dictionary


def difference(path: str, expected, found) -> str | None:
    """Where and how `found` first differs from `expected`, bit for bit."""
    if type(expected) is not type(found):
        return f"{path}: expected a {type(expected).__name__}, found a {type(found).__name__}"
    if isinstance(expected, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            if key not in found:
                return f"{path}: `{key}` is absent"
            if key not in expected:
                return f"{path}: `{key}` does not belong there"
            if reason := difference(f"{path}[{key!r}]", expected[key], found[key]):
                return reason
        return None
    if isinstance(expected, torch.Tensor):
        kinds = [(tensor.dtype, tuple(tensor.shape)) for tensor in (expected, found)]
        if kinds[0] != kinds[1]:
            return f"{path}: expected {kinds[0]}, found {kinds[1]}"
        integer = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
        bits = [t.contiguous().flatten().view(integer[t.element_size()]) for t in (expected, found)]
        wrong = (bits[0] != bits[1]).nonzero().flatten()
        if len(wrong) == 0:
            return None
        at = wrong[0].item()
        values = expected.flatten()[at].item(), found.flatten()[at].item()
        return (
            f"{path}: element {at} of {expected.numel()} is {values[1]}, expected {values[0]} "
            f"({len(wrong)} differ)"
        )
    return None if expected == found else f"{path}: expected {expected!r}, found {found!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", required=True, help="safetensors file of float32 tensors")
    parser.add_argument("--artifact", required=True, help="the quantised artifact")
    parser.add_argument("--scheme", required=True, choices=["per_row", "reference"])
    arguments = parser.parse_args()

    from safetensors.torch import load_file

    weights = load_file(arguments.weights)
    with open(arguments.artifact, "rb") as file:
        packed = file.read()
    raw = zlib.decompress(packed)
    found = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    found.pop("model_config", None)
    if reason := difference("artifact", quantize(weights, arguments.scheme), found):
        print(f"check_quantize: {reason} (torch {torch.__version__})", file=sys.stderr)
        return 1
    # Not a failure: Python may be built with another zlib, whose level 9 packs differently.
    zlib_bytes = "the same" if zlib.compress(raw, 9) == packed else "other"
    print(
        f"check_quantize: {len(weights)} tensors agree, scheme {arguments.scheme}, "
        f"{len(packed)} bytes, {zlib_bytes} bytes as zlib {zlib.ZLIB_RUNTIME_VERSION} packs, "
        f"torch {torch.__version__}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
