"""The fast model computes what the plain one computes."""

import unittest
from dataclasses import replace

import torch

from aneal_torch.config import ModelConfig
from aneal_torch.model import Decoder
from aneal_torch.speed import Job, Workload
from aneal_torch.twin import ATTENTIONS, Twin

TINY = ModelConfig(
    vocab_size=11, dim=8, layers=2, heads=4, kv_heads=2, head_dim=4, hidden=12, seq_len=8
)


def setUpModule() -> None:
    """One thread: the tensors are tiny."""
    torch.set_num_threads(1)


class TwinTest(unittest.TestCase):
    """Against `Decoder`, in float64."""

    def setUp(self) -> None:
        """A tiny model away from its symmetric initial state, and tokens."""
        torch.manual_seed(5)
        self.decoder = Decoder(TINY).double()
        with torch.no_grad():
            for parameter in self.decoder.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.5 + (parameter.ndim == 1))
        self.tokens = torch.randint(TINY.vocab_size, (3, TINY.seq_len + 1))

    def test_losses_are_the_same(self) -> None:
        """Of every position, of the last ones alone, and of shorter sequences."""
        for attention in ATTENTIONS:
            twin = Twin(self.decoder, attention)
            for length, scored in ((8, 8), (8, 3), (5, 5)):
                tokens = self.tokens[:, : length + 1]
                expected = self.decoder.token_losses(tokens)[:, length - scored :].flatten()
                found = twin.losses(tokens[:, :-1], tokens[:, 1 + length - scored :])
                torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)

    def test_gradients_are_the_same(self) -> None:
        """Of the embedding, which everything flows into, and of a matrix of each kind."""
        self.decoder.token_losses(self.tokens).sum().backward()
        layer = self.decoder.layers[0]
        gates = (layer.feed_forward.w1.weight.grad, layer.feed_forward.w3.weight.grad)
        for attention in ATTENTIONS:
            twin = Twin(self.decoder, attention)
            twin(self.tokens[:, :-1], self.tokens[:, 1:]).backward()
            pairs = (
                (twin.tok_embeddings, self.decoder.tok_embeddings.weight.grad),
                (twin.layers[0].wo, layer.attention.wo.weight.grad),
                (twin.layers[0].w13, torch.cat(gates)),
                (twin.layers[0].w2, layer.feed_forward.w2.weight.grad),
                (twin.layers[0].attention_norm, layer.attention_norm.weight.grad),
            )
            for parameter, gradient in pairs:
                torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-10)

    def test_other_attentions_are_refused(self) -> None:
        """By name."""
        with self.assertRaises(ValueError):
            Twin(self.decoder, "flash")


class WorkloadTest(unittest.TestCase):
    """What is timed."""

    def workload(self, **changes: object) -> Workload:
        """A tiny one, eager and in f32 unless said."""
        job = Job(
            config=TINY,
            compiled=False,
            bf16=False,
            attention="sdpa",
            batch_tokens=32,
            micro_batch_tokens=16,
            eval_windows=4,
        )
        return Workload(replace(job, **changes))

    def test_micro_batches_add_up(self) -> None:
        """Two halves of a batch give the gradient of the whole."""
        gradients = []
        for size in (16, 32):
            workload = self.workload(micro_batch_tokens=size)
            workload.step()
            gradients.append(workload.model.tok_embeddings.grad)
        torch.testing.assert_close(gradients[0], gradients[1])

    def test_an_update_changes_parameters(self) -> None:
        """And a step does not."""
        workload = self.workload()
        before = workload.model.tok_embeddings.detach().clone()
        workload.step()
        torch.testing.assert_close(workload.model.tok_embeddings.detach(), before, rtol=0, atol=0)
        workload.update()
        self.assertFalse(torch.equal(workload.model.tok_embeddings.detach(), before))

    def test_evaluation_scores_every_target_once(self) -> None:
        """Whatever remains at the end of the stream, and in the last batch."""
        for tokens in (8, 9, 30, 40):
            workload = self.workload()
            nats, scored = workload.evaluate(workload.plan(tokens, 3))
            self.assertEqual(scored, tokens)
            self.assertTrue(0 < nats < 10 * tokens)

    def test_bf16_is_close(self) -> None:
        """Evaluation of the same weights and tokens in both number types."""
        nats = [
            self.workload(bf16=bf16).evaluate(self.workload().plan(40, 3))[0]
            for bf16 in (False, True)
        ]
        self.assertAlmostEqual(nats[0] / nats[1], 1.0, delta=0.02)

    def test_sizes_that_cannot_be_are_refused(self) -> None:
        """Batches are whole micro-batches of whole sequences."""
        for batch, micro in ((30, 10), (32, 24), (0, 8), (32, 12)):
            with self.assertRaises(ValueError):
                self.workload(batch_tokens=batch, micro_batch_tokens=micro)


if __name__ == "__main__":
    unittest.main()
