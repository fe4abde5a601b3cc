#!/usr/bin/env python3
"""Write fixtures/tokenizer: what the official SentencePiece library makes of texts and of ids.

Usage: python/make_tokenizer_vectors.py
Needs: pip install sentencepiece==0.2.3

Three models: the built-in one (default-vectors.json), and two small ones that are trained here for
the options it does not use: `symbols` (no character rules, dummy prefix, user-defined symbols, no
byte fallback) and `spaces` (no character rules, spaces kept, pieces of several spaces, byte
fallback). Each vectors file has `encode` = [text, ids, decoded] and `decode` = [ids, text].
The same library version writes the same files on every run.
"""

import gzip
import io
import json
import pathlib
import random

import sentencepiece

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "fixtures" / "tokenizer"

EDGE_CASES = [
    "", " ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2581", " \u2581 ", "\u2581a\u2581", "a\u2581\u2581b",
    "a", " a", "a ", "  a  b  ", "a\tb", "a\nb", "a\r\nb", "a\n\n\nb", "tab\tand\nnewline\r\nend\t",
    "trailing spaces   ", "   leading", "non\u00a0breaking\u2009thin\u200bzero\u200dwidth\u2060joiner",
    "\ufeffbom first", "bom\ufeffinside", "\u200e\u200fmarks\u202etext\u202c", "line\u2028sep\u2029para",
    "<s>", "</s>", "<unk>", "<pad>", "<s>hello</s>", "<0x41>", "<0x0A><0xFF>", "<|doc|>", "text <s> inside </s>",
    "nul\0inside", "\0", "\0\0a", "bell\x07back\x08esc\x1b[0m", "\x01\x02\x03", "del\x7f", "nel\u0085end", "soft\u00adhyphen",
    "\u0080\u0090\u009f c1 controls", "vertical\x0btab\x0cform",
    "0123456789", "3.14159", "1,000,000", "2024-01-31", "x1y22z333", "\u0661\u0662\u0663", "\u0967\u0968", "\u00b2\u00b3\u00bd\u2460",
    "Hello, world!", "HELLO WORLD", "hElLo", "don't can't won't", "\u201cquoted\u201d \u2018single\u2019 \u2014 dash \u2013 en \u2026",
    "e-mail: a.b+c@example.com", "https://example.com/a?b=c&d=%20#e", "fn main() { println!(\"{}\", x[0]); }",
    "a_b__c___d", "++--==!=<=>=", "((([[[{{{}}}]]])))", "\\n\\t\\\\", "$100 \u20ac5 \u00a33 \u00a57",
    "caf\u00e9", "cafe\u0301", "na\u00efve", "nai\u0308ve", "\u00c5ngstr\u00f6m", "\u212bngstro\u0308m", "\u1e9b\u0323", "a\u0300\u0301\u0302\u0303",
    "\u0301 leading mark", "q\u0323\u0307", "\u0344", "\u1100\u1161\u11a8", "\uac01", "\u3131\uff71\uff9e\uff76\uff9e", "\u30ac\u30ab\u3099",
    "\uff28\uff45\uff4c\uff4c\uff4f\u3000\uff11\uff12\uff13\uff01", "\uff5e\u301c~", "\ufb01\ufb02\ufb00\ufb03 ligatures", "\u0132\u0133\u01c4\u01c6",
    "\u2122\u00ae\u00a9\u2120", "\u2160\u2161\u2163\u217b", "x\u00b2 + y\u2082", "\u33a1\u3392\u3300", "\u32ff\u337f", "\ufdfa", "\u2474\u249c\u24b6",
    "\U0001d400\U0001d4d0\U0001d7d8", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7",
    "\u2764\ufe0f\u2764", "1\ufe0f\u20e3", "\U0001f600 \U0001f601 text \U0001f602", "\U0010ffff\U000e0001\ue000",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
    "\u03b1\u03b2\u03b3 \u03c2\u03c3 \u0391\u0301", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\ufe8d\ufedf\ufee0", "\u05e9\u05dc\u05d5\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0e33", "\u0f77\u0f79", "\ufffd", "\ufffd\ufffda\ufffd", "\ufffe\uffff", "\ufdd0",
    "a" * 500, "ab" * 300, "the" * 200, "antidisestablishmentarianism" * 20, "\u6f22" * 100, "\u00e9" * 100, " a" * 200, "a  " * 100,
    "." * 300, "-" * 257, "1" * 300, "aA" * 50, "the the  the\tthe\nthe", "The quick brown fox jumps over the lazy dog.",
    "\u00df\u1e9e\u0130\u0131", "\u017f\u2126K\u2103\u2109", "\u00bc\u00bd\u2153\u215b", "\u2032\u2033\u2034\u2057", "\u2047\u2048\u203c", "\u222c\u222f", "\u2025\u2024\u2026\u22ef",
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "\u00b4\u02d8\u02dc\u0384\u1fbd", "\u3001\u3002\uff64\uff61", "\u309b\u309c", "\u30fb\uff65", "\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u202f\u205f\u1680x",
]


def random_texts(seed: int) -> list[str]:
    """Texts of random code points: all of Unicode, and the neighbourhoods where rules are dense."""
    generator = random.Random(seed)
    blocks = [
        (0x20, 0x7F), (0x00, 0x250), (0x250, 0x370), (0x300, 0x370), (0x370, 0x600), (0x600, 0x1100), (0x1100, 0x2000),
        (0x2000, 0x2100), (0x2100, 0x2C00), (0x3000, 0x3400), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xF900, 0x10000),
        (0x10000, 0x11000), (0x1D400, 0x1D800), (0x1F000, 0x1FB00), (0, 0x110000),
    ]
    texts = []
    for index in range(120):
        characters = []
        for _ in range(generator.randint(1, 40)):
            low, high = generator.choice(blocks) if index % 2 else blocks[(index // 2) % len(blocks)]
            code = generator.randrange(low, high)
            characters.append(" " if 0xD800 <= code < 0xE000 else chr(code))
            if generator.random() < 0.15:
                characters.append(generator.choice(" \u0301\u0308\u200da"))
        texts.append("".join(characters))
    return texts


def corpus_paragraphs() -> list[str]:
    """About sixty paragraphs, evenly spread over the built-in corpus, shortened."""
    text = gzip.decompress((ROOT / "assets" / "default-corpus.txt.gz").read_bytes()).decode("utf-8")
    lines = [line for line in text.split("\n") if line and line != "<|doc|>"]
    return [line[:400] for line in lines[:: len(lines) // 60]]


def id_sequences(size: int, seed: int) -> list[list[int]]:
    """Ids that no encoder writes: control ids anywhere, broken and whole characters as bytes."""
    generator = random.Random(seed)
    fixed = [[], [0], [1], [2], [3], [3, 3], [1, 2, 0], [size - 1]]
    whole = [4 + byte for byte in "\u00e9\u6f22\U0001f600\u2581\ufffd ".encode("utf-8")] if size >= 260 else []
    for cut in range(len(whole) + 1):
        fixed += [whole[:cut], whole[cut:]]
    for _ in range(120):
        ids = []
        for _ in range(generator.randint(1, 12)):
            low, high = generator.choice([(0, 4), (4, min(260, size)), (132, 260) if size >= 260 else (4, size), (min(260, size - 1), size)])
            ids.append(generator.randrange(low, high))
            if generator.random() < 0.2 and size >= 260:
                ids += [4 + byte for byte in generator.choice("\u00e9\u6f22\U0001f600").encode("utf-8")]
        fixed.append(ids)
    return fixed


def train(texts: list[str], **options) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="bpe", normalization_rule_name="identity",
        hard_vocab_limit=False, num_threads=1, minloglevel=2, **options,
    )
    return model.getvalue()


def write_vectors(name: str, model: bytes, texts: list[str]) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    encode = [[text, ids := processor.encode(text), processor.decode(ids)] for text in texts]
    decode = [[ids, processor.decode(ids)] for ids in id_sequences(processor.vocab_size(), 7)]
    lines = [
        "{",
        f'"about": "by sentencepiece {sentencepiece.__version__}; see python/make_tokenizer_vectors.py",',
        '"encode": [',
        ",\n".join(json.dumps(row, separators=(",", ":")) for row in encode),
        '],\n"decode": [',
        ",\n".join(json.dumps(row, separators=(",", ":")) for row in decode),
        "]\n}\n",
    ]
    (OUT / f"{name}-vectors.json").write_text("\n".join(lines), encoding="ascii")
    print(f"{name}: {len(model)} bytes, {processor.vocab_size()} pieces, {len(encode)} texts, {len(decode)} id sequences")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    paragraphs = corpus_paragraphs()
    texts = EDGE_CASES + random_texts(1337) + paragraphs
    write_vectors("default", (ROOT / "assets" / "default-tokenizer.model").read_bytes(), texts)

    symbols = ["<tool>", "<tool>x", "\u2581of", "of the", "\u00e9", "a  b"]
    model = train(paragraphs, vocab_size=200, user_defined_symbols=symbols)
    (OUT / "symbols.model").write_bytes(model)
    tagged = ["<tool>", "<tool>xy", "a<tool>b <tool> c", "king of the hill, of\u2581the", "caf\u00e9 \u00e9\u00e9", "xa  by", " a  b", "\u6f22\u5b57 \u6f22", "x\u6f22\u6f22y"]
    write_vectors("symbols", model, tagged + texts)

    doubled = [paragraph.replace(", ", ",  ").replace(". ", ".   ") for paragraph in paragraphs]
    model = train(
        doubled, vocab_size=400, byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, split_by_whitespace=False, pad_id=0, bos_id=1, eos_id=2, unk_id=3,
    )
    (OUT / "spaces.model").write_bytes(model)
    write_vectors("spaces", model, texts + doubled[:10])


if __name__ == "__main__":
    main()
