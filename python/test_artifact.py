"""Reading back an artifact that was quantised as parameter-golf's `train_gpt.py` does it."""

import io
import json
import tempfile
import unittest
import zlib
from pathlib import Path
from typing import Any

import torch

from aneal_torch.artifact import dequantise, read_artifact
from aneal_torch.config import ModelConfig
from aneal_torch.model import Decoder
from aneal_torch.scoring import Score
from check_artifact import differences, load_model

CONFIG = ModelConfig(
    vocab_size=16, dim=8, layers=1, heads=2, kv_heads=1, head_dim=4, hidden=12, seq_len=8
)


def quantise(model: Decoder) -> dict[str, Any]:
    """Matrices to int8 rows, norms to float16; the reference keeps small matrices too."""
    artifact: dict[str, Any] = {
        "__quant_format__": "int8_clean_per_row_v1",
        "quantized": {},
        "scales": {},
        "dtypes": {},
        "passthrough": {},
        "qmeta": {},
        "passthrough_orig_dtypes": {},
        "model_config": json.loads(CONFIG.to_json()),
    }
    for name, values in model.state_dict().items():
        if values.ndim == 1:
            artifact["passthrough"][name] = values.half()
            artifact["passthrough_orig_dtypes"][name] = "float32"
            continue
        scale = values.abs().amax(1) / 127
        artifact["quantized"][name] = (values / scale[:, None]).round().to(torch.int8)
        artifact["scales"][name] = scale.half()
        artifact["dtypes"][name] = "float32"
        artifact["qmeta"][name] = {"scheme": "per_row", "axis": 0}
    return artifact


def write(artifact: dict[str, Any], path: Path) -> None:
    """torch.save under zlib."""
    buffer = io.BytesIO()
    torch.save(artifact, buffer)
    path.write_bytes(zlib.compress(buffer.getvalue(), 9))


class ArtifactTest(unittest.TestCase):
    """The reader against a writer made for the test."""

    def setUp(self) -> None:
        """A tiny model and the place of its artifact."""
        torch.manual_seed(5)
        self.model = Decoder(CONFIG)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "artifact.bin"

    def test_parameters_come_back_within_half_a_step(self) -> None:
        """Every element; half a step, plus the rounding of the scale to float16."""
        write(quantise(self.model), self.path)
        loaded = load_model(self.path, None)
        self.assertEqual(loaded.config, CONFIG)
        for name, values in self.model.state_dict().items():
            found = loaded.state_dict()[name]
            self.assertEqual(found.dtype, torch.float32)
            bound = values.abs().amax(-1, keepdim=True) * (0.5 / 127 + 2**-10)
            self.assertTrue(bool(((found - values).abs() <= bound).all()), name)

    def test_scales_are_applied_by_row_or_as_one_number(self) -> None:
        """A float16 vector scales rows, a float32 scalar the whole tensor."""
        codes = torch.tensor([[1, -2], [3, 4]], dtype=torch.int8)
        artifact = {
            "quantized": {"rows": codes, "whole": codes},
            "scales": {"rows": torch.tensor([0.5, 2.0]).half(), "whole": torch.tensor(0.25)},
            "dtypes": {"rows": "float32", "whole": "bfloat16"},
            "passthrough": {"counter": torch.tensor([7])},
        }
        found = dequantise(artifact)
        self.assertEqual(found["rows"].tolist(), [[0.5, -1.0], [6.0, 8.0]])
        self.assertEqual(found["whole"].tolist(), [[0.25, -0.5], [0.75, 1.0]])
        self.assertEqual(found["whole"].dtype, torch.bfloat16)
        self.assertEqual(found["counter"].dtype, torch.int64)

    def test_a_missing_parameter_is_an_error(self) -> None:
        """Loading is strict."""
        artifact = quantise(self.model)
        del artifact["passthrough"]["norm.weight"]
        write(artifact, self.path)
        with self.assertRaisesRegex(RuntimeError, "norm.weight"):
            load_model(self.path, None)

    def test_other_files_are_refused(self) -> None:
        """Not zlib, and a dictionary of another format."""
        self.path.write_bytes(b"plain")
        with self.assertRaisesRegex(ValueError, "not a zlib stream"):
            read_artifact(self.path)
        write({"__quant_format__": "other"}, self.path)
        with self.assertRaisesRegex(ValueError, "'other'"):
            read_artifact(self.path)

    def test_scores_are_compared_by_bpb_tokens_and_bytes(self) -> None:
        """Equality of the counts is exact, NaN never agrees."""
        found = Score(2.0, 1.25, 100, 240)
        self.assertEqual(differences(found, found.to_dict(), 1e-4), [])
        self.assertEqual(differences(found, found.to_dict() | {"val_bpb": 1.25009}, 1e-4), [])
        for change in ({"val_bpb": 1.2502}, {"tokens": 99}, {"bytes": 241}):
            self.assertEqual(len(differences(found, found.to_dict() | change, 1e-4)), 1, change)
        broken = Score(float("nan"), float("nan"), 100, 240)
        self.assertEqual(len(differences(broken, found.to_dict(), 1e-4)), 1)


if __name__ == "__main__":
    unittest.main()
