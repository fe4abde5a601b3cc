"""A reader of MIL text, independent of the project's: it hands every statement to a replayer and
knows nothing of operations. Both dialects are read into the same statements."""

import dataclasses
import pathlib
import re

import numpy as np

TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*(?:[pP][-+]?\d+)?
                 |(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf\b|nan\b))
    | (?P<word>[A-Za-z_]\w*)
    | (?P<sign>->|[^\s\w])
    )""",
    re.VERBOSE,
)

NUMPY = {
    "fp16": np.float16, "fp32": np.float32, "bool": np.bool_, "int8": np.int8, "uint8": np.uint8,
    "int16": np.int16, "uint16": np.uint16, "int32": np.int32, "uint32": np.uint32,
    "int64": np.int64, "uint64": np.uint64,
    # Stored in fewer bits, held in bytes.
    "int4": np.int8, "uint1": np.uint8, "uint2": np.uint8, "uint3": np.uint8, "uint4": np.uint8,
    "uint6": np.uint8,
}


@dataclasses.dataclass
class Statement:
    types: list  # of (dtype, shape)
    names: list
    op: str
    arguments: dict  # parameter -> a name, a Constant, or a list of those
    attributes: dict


@dataclasses.dataclass
class Constant:
    type: tuple
    value: object  # numpy array, str, or Blob


@dataclasses.dataclass
class Blob:
    path: str
    offset: int


@dataclasses.dataclass
class Function:
    name: str
    opset: str
    inputs: list  # of (type, name)
    statements: list
    outputs: list


class Reader:
    def __init__(self, text):
        self.tokens = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if not match:
                raise SyntaxError(f"no token at {text[at:at + 30]!r}")
            self.tokens.append((match.lastgroup, match.group(match.lastgroup)))
            at = match.end()
        self.at = 0

    def peek(self):
        return self.tokens[self.at][1] if self.at < len(self.tokens) else None

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1][1]

    def want(self, *expected):
        for token in expected:
            found = self.next()
            if found != token:
                near = " ".join(t for _, t in self.tokens[max(0, self.at - 12):self.at + 3])
                raise SyntaxError(f"expected {token!r}, found {found!r} near: {near}")

    def list(self, opening, closing, item):
        self.want(opening)
        items = []
        while self.peek() != closing:
            items.append(item())
            if self.peek() == ",":
                self.next()
        self.want(closing)
        return items

    def program(self):
        self.want("program", "(")
        version = self.next()
        self.want(")")
        if self.peek() == "[":
            depth = 0
            while True:
                depth += {"[": 1, "]": -1}.get(self.next(), 0)
                if depth == 0:
                    break
        self.want("{")
        functions = []
        while self.peek() != "}":
            functions.append(self.function())
        self.want("}")
        assert self.peek() is None, "text behind the program"
        return version, functions

    def function(self):
        self.want("func")
        name = self.next()
        self.want("<")
        opset = self.next()
        self.want(">")
        inputs = self.list("(", ")", lambda: (self.type(), self.next()))
        self.want("{")
        statements = []
        while self.peek() != "}":
            statements.append(self.statement())
        self.want("}", "->")
        outputs = self.list("(", ")", self.next)
        self.want(";")
        return Function(name, opset, inputs, statements, outputs)

    def type(self):
        word = self.next()
        if word != "tensor":
            return word, ()
        self.want("<")
        dtype = self.next()
        self.want(",")
        shape = tuple(self.list("[", "]", lambda: int(self.next())))
        self.want(">")
        return dtype, shape

    def statement(self):
        types, names = [], []
        while True:
            types.append(self.type())
            names.append(self.next())
            if self.peek() != ",":
                break
            self.next()
        self.want("=")
        op = self.next()
        arguments = dict(self.list("(", ")", lambda: self.pair(self.argument)))
        attributes = {}
        if self.peek() == "[":
            attributes = dict(self.list("[", "]", lambda: self.pair(self.constant)))
        self.want(";")
        return Statement(types, names, op, arguments, attributes)

    def pair(self, value):
        name = self.next()
        self.want("=")
        return name, value()

    def argument(self):
        if self.peek() == "(":
            return self.list("(", ")", self.argument)
        if self.peek() == "tensor" or self.peek() in NUMPY or self.peek() == "string":
            return self.constant()
        return self.next()

    def constant(self):
        dtype, shape = self.type()
        self.want("(")
        if self.peek() == "BLOBFILE":
            self.next()
            place = dict(self.list("(", ")", lambda: self.pair(self.constant)))
            value = Blob(place["path"].value, int(place["offset"].value))
        elif dtype == "string":
            value = self.next()[1:-1]
        else:
            nested = self.elements()
            value = np.array(nested, dtype=NUMPY[dtype])
            if shape and value.ndim == 1 and value.size == np.prod(shape):
                value = value.reshape(shape)  # a flat list for several axes
            assert value.shape == shape, f"elements of shape {value.shape} for {shape}"
        self.want(")")
        return Constant((dtype, shape), value)

    def elements(self):
        if self.peek() == "[":
            return self.list("[", "]", self.elements)
        text = self.next()
        if text in ("true", "false"):
            return text == "true"
        if "x" in text.lower():
            return float.fromhex(text)
        return float(text) if re.search(r"[.einf]", text) else int(text)


def read(path):
    return Reader(pathlib.Path(path).read_text()).program()
