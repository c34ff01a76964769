"""Mutations of weight files that know their formats."""

import contextlib
import io
import json
import pickletools
import struct
import zipfile

import h5py
import numpy as np

from fuzz.mutations import between, mutate_bytes, mutate_json, pick, put_number, strange_value
from fuzz.weight_seeds import archive, members

# HDF5.

SIGNATURES = (b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB")
SIGNATURES += (b"BTHD", b"BTLF", b"BTIN", b"\x89HDF")


def mutate_structure(data, rng):
    """Change a number near the start of a structure of HDF5, or of an object's header."""
    signature = pick(rng, SIGNATURES)
    places = _places(data, signature)
    if not places or rng.random() < 0.4:
        # Headers of objects begin with a version, the number of messages and a count of 1.
        places = _places(data, b"\x01\x00\x00\x00")
    if not places:
        return mutate_bytes(data, rng)
    at = pick(rng, places) + between(rng, 0, 24) * pick(rng, (1, 2, 4, 8))
    width = pick(rng, (1, 2, 4, 8))
    if at + width > len(data):
        return mutate_bytes(data, rng)
    return put_number(data, at, width, rng), f"structure {signature!r} at {at}"


def _places(data, wanted):
    places, at = [], data.find(wanted)
    while at >= 0 and len(places) < 500:
        places.append(at)
        at = data.find(wanted, at + 1)
    return places


def mutate_hdf5(data, rng):
    """Change an HDF5 file by means of its library."""
    content = io.BytesIO(data)
    with h5py.File(content, "r+") as file:
        names = []
        file.visititems(lambda name, _: names.append(name))
        path, other = pick(rng, names), pick(rng, names)
        actions = {
            "delete": lambda: file.__delitem__(path),
            "rename": lambda: file.move(path, f"{path}{pick(rng, 'xyz/')}a"),
            "group": lambda: (file.__delitem__(path), file.create_group(path)),
            "soft link": lambda: (file.__delitem__(path), _link(file, path, h5py.SoftLink(other))),
            "external link": lambda: (
                file.__delitem__(path),
                _link(file, path, h5py.ExternalLink("/etc/passwd", "/")),
            ),
            "hard link": lambda: file.__setitem__(f"{path}_a", file[other]),
            "cycle": lambda: file["layers"].__setitem__("loop", file["/"]),
            "array": lambda: _replace_array(file, path, rng),
            "attribute": lambda: file[path].attrs.__setitem__("weight_names", [b"a" * 100] * 99),
            "layers": lambda: file.attrs.__setitem__("layer_names", [b"layer_0"] * 2000),
            "deep": lambda: file.create_group("/".join("abcd" * 200)),
            "long": lambda: file.create_group("a" * 20_000),
        }
        action = pick(rng, list(actions))
        with contextlib.suppress(KeyError, ValueError, TypeError, OSError, RuntimeError):
            actions[action]()
    return content.getvalue(), f"{action} {path}"


def _link(file, path, link):
    file[path] = link


def _replace_array(file, path, rng):
    options = (
        {"shape": (10**6, 10**6), "dtype": "float32", "chunks": (10, 10)},
        {"data": np.full((6, 6, 3, 2), np.nan)},
        {"data": np.zeros((40, 40)), "compression": "gzip"},
        {"shape": (3000, 3000), "dtype": "float64", "compression": "gzip", "chunks": (3000, 3000)},
        {"data": np.full((2, 2), 1e300)},
        {"data": np.array([b"text", b"a"])},
        {"data": np.zeros((1,) * 20)},
        {"data": h5py.Empty("float32")},
        {"data": np.zeros(3, [("a", "f4"), ("b", "S3")])},
        {"data": 1.0},
        {"shape": (4,), "dtype": "float32", "external": [("/etc/passwd", 0, 16)]},
    )
    del file[path]
    file.create_dataset(path, **pick(rng, options))


# Zip archives.


def mutate_zip(data, rng):
    """Change the directory of an archive, the headers of its members, or its members."""
    action = between(rng, 0, 5)
    if action <= 1:
        signature = pick(rng, (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"))
        places = _places(data, signature)
        if places:
            at = pick(rng, places) + between(rng, 2, 44)
            return put_number(data, at, pick(rng, (1, 2, 4)), rng), f"zip field {signature!r}"
    contents = members(data)
    name = pick(rng, list(contents))
    if action == 2:
        content = contents.pop(name)
        names = (" ", "a" * 60_000, "../a", "/etc/passwd", name.upper(), f"{name}/", f"x/{name}")
        contents[pick(rng, names)] = content
        return archive(contents), f"member {name} renamed"
    if action == 3:
        contents[name] += bytes(between(rng, 0, 30_000_000))
        return archive(contents, zipfile.ZIP_DEFLATED), "compressed"
    if action == 4:
        return archive(contents) + archive({name: contents[name]}), "two archives"
    del contents[name]
    return archive(contents), f"member {name} removed"


def inside(name_end, mutate):
    """Return the mutation of a member of an archive, whose checksum is right again."""

    def mutate_member(data, rng):
        contents = members(data)
        names = [name for name in contents if name.endswith(name_end)]
        if not names:
            return mutate_zip(data, rng)
        name = pick(rng, names)
        contents[name], done = mutate(contents[name], rng)
        return archive(contents), f"{name}: {done}"

    return mutate_member


# Pickles.

PIECES = (
    b"cos\nsystem\nX\x04\x00\x00\x00true\x85R",
    b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R",
    b"ctorch\nload\n)R",
    b"r\xff\xff\xff\x7f",
    b"j\xff\xff\xff\x7f",
    b"q\x00h\x00h\x00\x86" * 500,
    b"\x85" * 5_000,
    b"(" * 5_000,
    b"]" * 5_000 + b"a" * 4_999,
    b"\x8b\x00\x00\x01\x00" + b"\x7f" * 65_536,
    b"\x8a\xff" + b"\x7f" * 255,
    b"X\xff\xff\xff\x7fa",
    b"ctorch\ndevice\nq\x01X\x02\x00\x00\x00abq\x02" + b"0h\x01h\x02h\x02\x86Rq\x02" * 40,
    *(b"0", b"1", b"2", b"N", b"}", b"]", b")", b"b", b"R", b"Q", b"s", b"u", b"t", b"e", b"."),
)


def mutate_pickle(data, rng):
    """Remove, repeat, move or add instructions, or change their arguments."""
    with contextlib.suppress(Exception):
        places = [place for _, _, place in pickletools.genops(data)]
        for _ in range(pick(rng, (1, 1, 2, 4))):
            at = between(rng, 1, len(places) - 2)
            start, end = places[at], places[at + 1]
            other = places[between(rng, 1, len(places) - 2)]
            action = between(rng, 0, 4)
            if action == 0:
                data = data[:start] + data[end:]
            elif action == 1:
                data = data[:end] + data[start:end] * between(rng, 1, 1000) + data[end:]
            elif action == 2:
                data = data[:start] + pick(rng, PIECES) + data[start:]
            elif action == 3 and end - start > 2:
                data = put_number(data, start + 1, min(end - start - 1, 4), rng)
            else:
                data = data[:other] + data[start:end] + data[other:]
    return data, "pickle"


# JSON inside other formats.


def mutate_config(data, rng):
    """Change a JSON file."""
    if rng.random() < 0.2:
        return mutate_bytes(data, rng)
    text, done = mutate_json(data.decode(), rng)
    return text.encode(), done


def mutate_safetensors(data, rng):
    """Change the header of a safetensors file, or the config in it."""
    length = int.from_bytes(data[:8], "little")
    header, numbers = data[8 : 8 + length], data[8 + length :]
    if rng.random() < 0.5:
        document = json.loads(header)
        entry = document["__metadata__"]
        entry["cspdarknet_config"], done = mutate_json(entry["cspdarknet_config"], rng)
        header = json.dumps(document).encode()
    else:
        header, done = mutate_config(header, rng)
    return struct.pack("<Q", len(header)) + header + numbers, f"header {done}"


# ONNX.


def mutate_onnx(data, rng):
    """Change the nodes, the attributes or the weights of a graph."""
    import onnx

    model = onnx.load_from_string(data)
    graph = model.graph
    action = between(rng, 0, 8)
    node, weight = pick(rng, graph.node), pick(rng, graph.initializer)
    if action == 0:
        graph.node.remove(node)
    elif action == 1:
        node.op_type = pick(rng, ("Conv", "Relu", "Concat", "MaxPool", "If", "Loop", "x" * 10_000))
    elif action == 2 and node.input:
        node.input[between(rng, 0, len(node.input) - 1)] = pick(rng, graph.node).output[0]
    elif action == 3 and node.attribute:
        attribute = pick(rng, node.attribute)
        attribute.ints.extend([pick(rng, (0, -1, 2**62, 7))] * between(rng, 0, 50))
        attribute.i, attribute.f = pick(rng, ((0, 0.0), (2**62, float("nan")), (-1, 1e30)))
    elif action == 4:
        weight.dims.extend([pick(rng, (0, 1, 2, 2**31, 2**62, -1))])
    elif action == 5:
        weight.data_location = onnx.TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", pick(rng, ("/etc/passwd", "../a", "backbone.onnx"))
    elif action == 6:
        weight.data_type = between(rng, 0, 25)
    elif action == 7:
        graph.node.extend([node] * between(rng, 1, 2000))
    else:
        graph.input[0].type.tensor_type.shape.dim.add().dim_value = pick(rng, (0, -5, 2**40))
    return model.SerializeToString(), f"onnx {action}"


def strange_content(_, rng):
    """Return another file altogether."""
    return pick(
        rng,
        (
            *(b"", b"\0", b"<html>", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)),
            b"\x89HDF\r\n\x1a\n",
            struct.pack("<Q", 2**62) + b"{}",
            struct.pack("<Q", 100_000) + b"{" * 100_000,
            json.dumps(strange_value(rng)).encode(),
            b"\x80\x02" + b"(" * 100_000,
        ),
    ), "another file"


PICKLED = (mutate_zip, *[inside("data.pkl", mutate_pickle)] * 4, inside("", mutate_bytes))
# The mutations of each form besides those of plain bytes, by the end of the name.
FORMS = {
    ".h5": (mutate_structure, mutate_structure, mutate_hdf5),
    ".keras": (
        mutate_zip,
        *[inside("config.json", mutate_config)] * 3,
        inside("model.weights.h5", mutate_structure),
        inside("model.weights.h5", mutate_hdf5),
    ),
    ".pth": PICKLED,
    ".safetensors": (mutate_safetensors, mutate_safetensors),
    ".onnx": (mutate_onnx, mutate_onnx),
    ".json": (mutate_config,),
}


def mutate(name, data, rng):
    """Return a changed weight file, and what was done.

    Args:
        name: name of the file.
        data: its content.
        rng: NumPy's generator.
    """
    roll = rng.random()
    if roll < 0.02:
        return strange_content(data, rng)
    if roll < 0.35:
        return mutate_bytes(data, rng)
    form = next(end for end in FORMS if name.endswith(end))
    data, done = pick(rng, FORMS[form])(data, rng)
    if rng.random() < 0.1:
        data, more = mutate_bytes(data, rng)
        done = f"{done}, {more}"
    return data, done
