"""The model's gradients against finite differences, and the size of GolfWide."""

import unittest

import torch

from aneal_torch.config import GOLFWIDE, ModelConfig
from aneal_torch.model import Decoder

TINY = ModelConfig(
    vocab_size=7,
    dim=4,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=4,
    hidden=6,
    seq_len=7,
)
STEP = 1e-5
RELATIVE_TOLERANCE = 1e-7


def setUpModule() -> None:
    """One thread: the tensors are tiny, and waiting for a second one can take minutes."""
    torch.set_num_threads(1)


class ModelTest(unittest.TestCase):
    """Properties that hold for any correct implementation."""

    def setUp(self) -> None:
        """A tiny float64 model away from its symmetric initial state."""
        generator = torch.Generator().manual_seed(3)
        self.model = Decoder(TINY).double()
        with torch.no_grad():
            for parameter in self.model.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(noise * 0.4 + (parameter.ndim == 1))
        shape = (2, TINY.seq_len + 1)
        self.tokens = torch.randint(TINY.vocab_size, shape, generator=generator)

    def loss(self) -> torch.Tensor:
        """Mean token loss."""
        return self.model.token_losses(self.tokens).mean()

    def test_every_gradient_matches_central_differences(self) -> None:
        """Every element of every parameter."""
        self.loss().backward()
        for name, parameter in self.model.named_parameters():
            flat = parameter.detach().view(-1)
            slopes = torch.empty_like(flat)
            for index in range(len(flat)):
                centre = flat[index].item()
                flat[index] = centre + STEP
                above = self.loss().item()
                flat[index] = centre - STEP
                slopes[index] = (above - self.loss().item()) / (2 * STEP)
                flat[index] = centre
            error = (slopes - parameter.grad.view(-1)).norm() / slopes.norm()
            self.assertLess(error.item(), RELATIVE_TOLERANCE, name)

    def test_later_tokens_do_not_change_earlier_logits(self) -> None:
        """The attention is causal."""
        changed = self.tokens.clone()
        changed[:, 4:] = (changed[:, 4:] + 1) % TINY.vocab_size
        before, after = self.model(self.tokens), self.model(changed)
        self.assertTrue(torch.equal(before[:, :4], after[:, :4]))
        self.assertFalse(torch.equal(before[:, 4:], after[:, 4:]))

    def test_golfwide_has_the_published_number_of_parameters(self) -> None:
        """PR #801 states 21,242,880 in the layers and 21,767,680 in all."""
        model = Decoder(GOLFWIDE)
        self.assertEqual(sum(p.numel() for p in model.layers.parameters()), 21_242_880)
        self.assertEqual(sum(p.numel() for p in model.parameters()), 21_767_680)


if __name__ == "__main__":
    unittest.main()
