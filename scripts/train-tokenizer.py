#!/usr/bin/env python3
"""Train the built-in tokenizer: 1,024 SentencePiece BPE pieces on the built-in corpus.

Usage: scripts/train-tokenizer.py [CORPUS] [-o MODEL]
Needs: pip install sentencepiece==0.2.3 (another version may write other bytes).

The settings are those of the parameter-golf challenge's own sp1024 tokenizer, so that a model
trained on one reads like a model trained on the other. Only the training documents are used: the
held-out tail (assets/README.md) must not shape the vocabulary that is later scored on it.
The same corpus and library version give the same bytes on every run.
"""

import argparse
import gzip
import hashlib
import io
import os
import pathlib
import sys
import tempfile

import sentencepiece

ASSETS = pathlib.Path(__file__).resolve().parent.parent / "assets"
SEPARATOR = "<|doc|>"
HELD_OUT_PERCENT = 5


def read_documents(path: pathlib.Path) -> list[str]:
    """The documents between lines that hold only the separator, in order, empty ones dropped."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    documents: list[str] = []
    lines: list[str] = []
    for line in [*data.decode("utf-8").split("\n"), SEPARATOR]:
        if line == SEPARATOR:
            documents.append("\n".join(lines).strip("\n"))
            lines = []
        else:
            lines.append(line)
    return [document for document in documents if document]


def split_held_out(documents: list[str]) -> tuple[list[str], list[str]]:
    """(training, validation): validation is the smallest tail with 5 % of the text's bytes."""
    sizes = [len(document.encode("utf-8")) for document in documents]
    start, tail = len(documents), 0
    while start > 0 and tail * 100 < sum(sizes) * HELD_OUT_PERCENT:
        start -= 1
        tail += sizes[start]
    return documents[:start], documents[start:]


def train(documents: list[str]) -> bytes:
    """The serialized model."""
    texts = [text for d in documents if (text := d.replace("\0", " ").strip())]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=1024,
        character_coverage=0.999,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="nmt_nfkc",
        add_dummy_prefix=False,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        hard_vocab_limit=False,
        # The default, 4,192 bytes, would silently drop most of these documents.
        max_sentence_length=max(len(text.encode("utf-8")) for text in texts),
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", type=pathlib.Path, default=ASSETS / "default-corpus.txt.gz")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=ASSETS / "default-tokenizer.model")
    args = parser.parse_args()

    training, validation = split_held_out(read_documents(args.corpus))
    for name, part in (("training", training), ("validation", validation)):
        print(f"{name}: {len(part)} documents, {sum(len(d.encode()) for d in part)} bytes", file=sys.stderr)
    model = train(training)
    with tempfile.NamedTemporaryFile(dir=args.output.parent, delete=False) as file:
        file.write(model)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, args.output)
    print(f"{hashlib.sha256(model).hexdigest()}  {args.output.name} ({len(model)} bytes)")


if __name__ == "__main__":
    main()
