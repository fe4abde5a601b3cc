"""Checks the programs that `cargo run -p aneal-mil --example export -- FOLDER` wrote, with Apple's
open-source coremltools and with numpy.

1. Packages: coremltools' loader reads each; the types that it infers are those we declare.
2. Text: an independent reader (mil_text.py) reads both dialects; replayed through coremltools'
   builder, every statement has the declared type; weights are read by Apple's blob reader.
3. Numbers: our evaluator against numpy (mil_numpy.py) and, where coremltools computes a value from
   constants, against that.
4. Weight files: ours equal Apple's writer's byte for byte.
5. The table of operations: names, parameters and which are required, as coremltools registers them.
6. Faults: coremltools takes the sound twin of each faulty program; where it refuses the faulty one,
   so do we.
"""

import json
import logging
import pathlib
import sys
import tempfile
import warnings

logging.disable(logging.CRITICAL)
warnings.filterwarnings("ignore")

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.frontend.milproto.load import load as load_proto
from coremltools.converters.mil.mil import Function, Program, mil_list, types
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry
from coremltools.libmilstoragepython import _BlobStorageReader, _BlobStorageWriter
from coremltools.proto import Model_pb2

import mil_text
from mil_numpy import OPS

OPSETS = {f"ios{n}": getattr(ct.target, f"iOS{n}") for n in (15, 16, 17, 18)}
METHODS = {"fp16": "fp16", "fp32": "float"}


def type_of(var):
    shape = tuple(int(d) for d in var.shape) if var.rank else ()
    return types.builtin_to_string(var.dtype), shape


def check_package(place):
    """Loads the package and compares inferred with declared types. Returns operations seen."""
    spec = Model_pb2.Model()
    data = place / "model.mlpackage/Data/com.apple.CoreML"
    spec.ParseFromString((data / "model.mlmodel").read_bytes())
    program = load_proto(spec, spec.specificationVersion, str(data / "weights"))
    count = 0
    for name, function in spec.mlProgram.functions.items():
        block = function.block_specializations[function.opset]
        inferred = {}
        for op in program.functions[name].operations:
            for var in op.outputs:
                inferred[var.name] = type_of(var)
        for op in block.operations:
            for out in op.outputs:
                t = out.type.tensorType
                shape = tuple(d.constant.size for d in t.dimensions)
                found = inferred[out.name]
                declared = (DTYPES[t.dataType], shape)
                assert declared == found, f"{out.name}: declared {declared}, inferred {found}"
            count += op.type != "const"
    # The package as a whole, as users load it.
    ct.models.MLModel(str(place / "model.mlpackage"), skip_model_load=True)
    return count


DTYPES = {1: "bool", 2: "string", 10: "fp16", 11: "fp32", 21: "int8", 22: "int16", 23: "int32",
          25: "int4", 31: "uint8", 32: "uint16", 35: "uint4", 36: "uint2", 37: "uint1", 38: "uint6",
          39: "uint3"}


def blob(place, constant):
    """A constant's elements, by Apple's reader where they are in a weight file."""
    dtype, shape = constant.type
    value = constant.value
    if not isinstance(value, mil_text.Blob):
        return value
    reader = _BlobStorageReader(str(place / value.path.replace("@model_path/", "")))
    raw = np.asarray(getattr(reader, f"read_{METHODS.get(dtype, dtype)}_data")(value.offset))
    raw = raw.view(np.float16) if dtype == "fp16" else raw
    return raw.astype(mil_text.NUMPY[dtype]).reshape(shape)


def builder_value(constant, value):
    dtype, shape = constant.type
    if dtype == "string":
        return value
    if dtype in ("int4", "uint1", "uint2", "uint3", "uint4", "uint6"):
        value = value.astype(types.nptype_from_builtin(types.string_to_builtin(dtype)))
    if shape == ():
        return bool(value) if dtype == "bool" else value[()]
    return np.ascontiguousarray(value)


def replay(place, function, feeds=None):
    """Replays a function through coremltools' builder. Returns operations and constant outputs."""
    inputs = {name: mb.placeholder(shape=t[1], dtype=types.string_to_builtin(t[0]))
              for t, name in function.inputs}
    count = 0
    with Function(inputs, opset_version=OPSETS[function.opset]) as f:
        known = dict(f.inputs)
        for name, value in (feeds or {}).items():
            known[name] = mb.const(val=value, name=name + "_fed")

        def operand(given):
            if isinstance(given, list):
                return [operand(item) for item in given]
            if isinstance(given, mil_text.Constant):
                return builder_value(given, blob(place, given))
            return known[given]

        for s in function.statements:
            if s.op == "const":
                val = s.attributes["val"]
                assert val.type == s.types[0], f"{s.names[0]}: {val.type} for {s.types[0]}"
                known[s.names[0]] = mb.const(val=builder_value(val, blob(place, val)),
                                             name=s.names[0])
                continue
            given = {k: operand(v) for k, v in s.arguments.items()}
            given |= {k: operand(v) for k, v in s.attributes.items() if k != "name"}
            results = getattr(mb, s.op)(**given, name=s.names[0])
            results = results if isinstance(results, (list, tuple)) else [results]
            assert len(results) == len(s.names)
            for name, declared, var in zip(s.names, s.types, results):
                found = type_of(var)
                assert found == declared, f"{name}: declared {declared}, inferred {found}"
                known[name] = var
            count += 1
        f.set_outputs([known[name] for name in function.outputs])
        Program().add_function(function.name, f)
        return count, {name: known[name].val for name in function.outputs}


def compute(place, function, feeds, round_to):
    """The function in numpy; every result is rounded as `round_to` says."""
    known = {name: value.astype(np.float64) for name, value in feeds.items()}

    def operand(given):
        if isinstance(given, list):
            return [operand(item) for item in given]
        if isinstance(given, mil_text.Constant):
            value = blob(place, given)
            return value if isinstance(value, str) else value.astype(np.float64)
        return known[given]

    for s in function.statements:
        if s.op == "const":
            known[s.names[0]] = operand(s.attributes["val"])
            continue
        given = {k: operand(v) for k, v in s.arguments.items()}
        given |= {k: operand(v) for k, v in s.attributes.items() if k != "name"}
        unary = len(given) == 1 and "x" in given
        if unary or s.op in BINARY:
            results = OPS[s.op](*given.values()) if unary else OPS[s.op](given["x"], given["y"])
        else:
            results = OPS[s.op](**given)
        results = results if isinstance(results, list) else [results]
        for name, (dtype, shape), value in zip(s.names, s.types, results):
            value = np.asarray(value, dtype=np.float64)
            assert value.shape == shape, f"{s.op} {name}: numpy has {value.shape}, text {shape}"
            if dtype in ("fp16", "fp32"):
                value = value.astype(round_to if dtype == "fp16" else np.float32)
            known[name] = value.astype(np.float64)
    return {name: known[name] for name in function.outputs}


BINARY = {"add", "sub", "mul", "real_div", "maximum", "minimum", "pow", "mod", "floor_div", "equal",
          "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and",
          "logical_or", "logical_xor"}


def load(place, entry, key):
    shape = entry["shape"]
    return np.fromfile(place / entry[key], dtype="<f4").reshape(shape)


def error_of(got, want):
    scale = max(1e-3, float(np.abs(want).max()))
    return float(np.abs(got.astype(np.float64) - want).max()) / scale


def check_numbers(place, function, entry):
    """Largest errors relative to the greatest value: exact, rounded, and against coremltools."""
    feeds = {i["name"]: load(place, i, "values").astype(mil_text.NUMPY[i["dtype"]])
             for i in entry["inputs"]}
    exact, half = (compute(place, function, feeds, t) for t in (np.float32, np.float16))
    worst = [0.0, 0.0, None]
    try:
        _, constant = replay(place, function, feeds)
    except Exception:  # where its own evaluation fails, as for float16 sums that overflow
        constant = {}
    for out in entry["outputs"]:
        name = out["name"]
        worst[0] = max(worst[0], error_of(load(place, out, "exact"), exact[name]))
        worst[1] = max(worst[1], error_of(load(place, out, "half"), half[name]))
        if constant.get(name) is not None:
            value = np.asarray(constant[name], dtype=np.float64)
            worst[2] = max(worst[2] or 0.0, error_of(load(place, out, "half"), value))
    return worst


def check_blobs(folder, files):
    with tempfile.TemporaryDirectory() as work:
        for file in files:
            path = str(pathlib.Path(work) / "apple.bin")
            pathlib.Path(path).unlink(missing_ok=True)
            writer = _BlobStorageWriter(path)
            for entry in file["entries"]:
                dtype = entry["dtype"]
                values = np.array(entry["values"], dtype=mil_text.NUMPY[dtype])
                values = values.view(np.uint16) if dtype == "fp16" else values
                offset = getattr(writer, f"write_{METHODS.get(dtype, dtype)}_data")(values)
                assert offset == entry["offset"], (dtype, offset, entry["offset"])
            del writer
            ours = (folder / "blobs" / file["file"]).read_bytes()
            assert ours == pathlib.Path(path).read_bytes(), file["file"]
    return len(files), sum(len(file["entries"]) for file in files)


def check_table(operations):
    """Every parameter that we know exists there, and is required there if and only if here."""
    # Given in every published program, though coremltools has a default; or restricted by us.
    stricter = {("mask", "constexpr_sparse_to_dense")}
    for op in operations:
        versions = SSAOpRegistry.core_ops[op["name"]]
        newest = versions[max(v for v in versions if v <= ct.target.iOS18)]
        theirs = newest.input_spec.input_types
        for param in op["params"]:
            assert param["name"] in theirs, f"{op['name']} has no {param['name']}"
            if (param["name"], op["name"]) not in stricter:
                optional = theirs[param["name"]].optional
                assert param["required"] != optional, f"{op['name']}.{param['name']}: {optional}"
        given = {param["name"] for param in op["params"]}
        missing = [n for n, t in theirs.items() if n not in given and not t.optional]
        assert not missing, f"{op['name']} lacks {missing}"
        first = min(versions).name.lower()
        known_later = {"constexpr_lut_to_dense", "constexpr_sparse_to_dense"}
        assert op["since"] == first or first == "ios13" or op["name"] in known_later, op["name"]
    return len(operations)


def check_faults(place):
    """Which faulty programs coremltools refuses too; all were refused by us.

    Each has a sound twin, which coremltools must take: then a refusal is for the fault. Of syntax,
    names and where values are defined coremltools knows nothing, as it reads no text: those are
    refused by our independent reader, or by us alone.
    """
    by = {"coremltools": [], "reader": [], "nobody": []}
    faults = json.loads((place / "faults.json").read_text())
    for fault in faults:
        for function in read_text(fault["sound"]):
            try:
                replay(place, function)
            except Exception as error:
                sys.exit(f"{fault['name']}, sound: {type(error).__name__}: {error}")
        try:
            functions = read_text(fault["text"])
        except Exception:
            by["reader"].append(fault["name"])
            continue
        try:
            for function in functions:
                replay(place, function)
            by["nobody"].append(fault["name"])
        except Exception:
            by["coremltools"].append(fault["name"])
    return len(faults), by


def read_text(text):
    """Functions of a text; refused where names are not what they must be."""
    _, functions = mil_text.Reader(text).program()
    names = [f.name for f in functions]
    assert names and len(names) == len(set(names)), "no function, or two of one name"
    for function in functions:
        seen = {n for _, n in function.inputs}
        assert len(seen) == len(function.inputs), "two inputs of one name"
        for s in function.statements:
            used = [v if isinstance(v, list) else [v] for v in s.arguments.values()]
            for name in sum(used, []):
                assert isinstance(name, mil_text.Constant) or name in seen, f"{name} is not defined"
            assert not seen & set(s.names), "two values of one name"
            seen |= set(s.names)
        assert set(function.outputs) <= seen, "an output is not defined"
        assert len(function.outputs) == len(set(function.outputs)) > 0, "no output, or one twice"
    return functions


def main(folder):
    folder = pathlib.Path(folder)
    index = json.loads((folder / "index.json").read_text())
    packages = texts = numbers = 0
    worst = {}
    for case in index["cases"]:
        place = folder / case["name"]
        try:
            packages += check_package(place)
            for dialect in ("modern", "verbose"):
                version, functions = mil_text.read(place / f"{dialect}.mil")
                assert version == {"modern": "1.3", "verbose": "1.0"}[dialect]
                for function, entry in zip(functions, case["functions"]):
                    assert function.name == entry["name"]
                    texts += replay(place, function)[0]
                    if case["evaluated"] and dialect == "modern":
                        worst[case["name"]] = check_numbers(place, function, entry)
                        numbers += 1
        except Exception as error:
            sys.exit(f"{case['name']}: {type(error).__name__}: {error}")
    print(f"{len(index['cases'])} packages load in coremltools {ct.__version__}: {packages} "
          f"operations with equal types")
    print(f"{2 * len(index['cases'])} texts read and replayed: {texts} operations with equal types")
    exact, half = (max((w[i], name) for name, w in worst.items()) for i in (0, 1))
    # coremltools documents `interleave` and leaves it out where it computes constants.
    theirs = {name: w[2] for name, w in worst.items()
              if w[2] is not None and name != "concat_interleave"}
    print(f"{numbers} functions evaluated: worst relative error against numpy {exact[0]:.1e} "
          f"in f32 ({exact[1]}), {half[0]:.1e} with fp16 rounding ({half[1]})")
    top = max((error, name) for name, error in theirs.items())
    print(f"{len(theirs)} of them computed by coremltools too: worst {top[0]:.1e} ({top[1]})")
    assert exact[0] < 2e-5, "f32 results differ from numpy"
    assert half[0] < 2e-3, "fp16 results differ from numpy by more than two units"
    assert top[0] < 1e-2, "results differ from coremltools"
    files, blobs = check_blobs(folder, index["blobs"])
    print(f"{files} weight files of {blobs} blobs equal Apple's writer byte for byte")
    print(f"{check_table(index['operations'])} operations as coremltools registers them")
    total, by = check_faults(folder / "faults")
    agreed, read = len(by["coremltools"]), len(by["reader"])
    print(f"{total} faults refused by us, {agreed} of them by coremltools too, {read} by the reader "
          f"of text; {len(by['nobody'])} we refuse alone: {', '.join(by['nobody'])}")
    assert total >= 30, "too few faults"
    assert agreed >= total // 2, "coremltools accepts most faults"


if __name__ == "__main__":
    main(sys.argv[1])
