"""Cut a text corpus into documents, encode them and write one train and one val shard.

Documents are separated by lines that hold only `<|doc|>`. Each becomes [BOS] + its ids.
The validation shard takes the smallest tail of documents with at least 5 % of the text bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sentencepiece import SentencePieceProcessor

from aneal_torch.shards import write_shard

SEPARATOR = "<|doc|>"
VALIDATION_FRACTION = 0.05


def split_documents(text: str) -> list[str]:
    """Documents in file order; the newlines beside a separator belong to neither document."""
    documents: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line == SEPARATOR:
            documents.append([])
        else:
            documents[-1].append(line)
    joined = ("\n".join(lines) for lines in documents)
    return [document for document in joined if document.strip()]


def validation_start(documents: list[str]) -> int:
    """Index of the first validation document."""
    sizes = [len(document.encode()) for document in documents]
    needed = VALIDATION_FRACTION * sum(sizes)
    tail = 0
    for index in range(len(documents) - 1, -1, -1):
        tail += sizes[index]
        if tail >= needed:
            return index
    raise ValueError("the corpus holds no documents")


def encode(sp: SentencePieceProcessor, documents: list[str]) -> np.ndarray:
    """[BOS] + ids of every document, back to back."""
    ids = [token for text in documents for token in (sp.bos_id(), *sp.encode(text))]
    return np.array(ids, np.int64)


def main() -> None:
    """Write the two shards and print what they hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True, help="SentencePiece model")
    parser.add_argument("--text", type=Path, required=True, help="UTF-8 corpus")
    parser.add_argument("--out", type=Path, required=True, help="directory of the shards")
    args = parser.parse_args()

    sp = SentencePieceProcessor(model_file=str(args.tokenizer))
    documents = split_documents(args.text.read_bytes().decode())
    cut = validation_start(documents)
    args.out.mkdir(parents=True, exist_ok=True)
    summary = {}
    for split, part in (("train", documents[:cut]), ("val", documents[cut:])):
        tokens = encode(sp, part)
        write_shard(args.out / f"fineweb_{split}_000000.bin", tokens, sp.vocab_size())
        text_bytes = sum(len(document.encode()) for document in part)
        summary[split] = {"documents": len(part), "bytes": text_bytes, "tokens": len(tokens)}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
