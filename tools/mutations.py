"""Mutations of the annotation files of a small dataset, for `fuzz_annotations.py`."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

Files = dict[str, bytes]
Item = TypeVar("Item")
IMAGE = (".jpg", ".png")
# Values that are put in place of others in JSON.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**400, -(2**63), 1e308, -1e308, 1e-308, 0.5, 2**31),
    *(
        float("nan"),
        float("inf"),
        "",
        " ",
        "\0",
        "a" * 100_000,
        "\ud800",
        "nan",
        "1e999",
        "٣",
        "日本",
    ),
    *(
        "../../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "/",
        "C:\\a.jpg",
        "\\\\host\\a",
        "a\nb",
        "~",
    ),
    *("a/" * 3000, "cell", "%s{0}", [], {}, [[]], [1, 2], [{}], {"id": 1}, {"a": {"b": []}}),
    *([1e400, 2, 3, 4], ["1", "2", "3", "4"], [[[[[[]]]]]], [None, None, None, None], "iscrowd"),
)
# Texts that are put in place of others in XML, YAML, CSV and text files.
TEXTS = (
    *(
        "",
        " ",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "0",
        "0x10",
        "1_000",
        "٣",
        "1,5",
        "1e-400",
        "true",
    ),
    *("\0", "\ufeff", "\u2028", "a" * 200_000, "1" * 5000, "../../etc/passwd", "/etc/passwd", ".."),
    *("[" * 20_000, "{" * 500, "(((", "- " * 500, "&a [*a, *a]", "*a", "<<: {a: b}", "!!binary x"),
    *('!!python/object/apply:os.system ["true"]', "!!float x", "2020-01-01", "no", "~", "null"),
    *('"', "'", '"\n', "<a>", "</annotation>", "<![CDATA[", "&lol;", "]]>", "\r\n", "\t", "#", ":"),
    *(
        ": ",
        "? ",
        "%",
        "@",
        "|",
        ">",
        "--- \n---\n",
        "cell cell",
        "0 0 0 0 0",
        ".",
        "/",
        "//",
        "\\",
    ),
)
BOMB = "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 12))
ENTITIES = "<!DOCTYPE a [<!ENTITY b 'b'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]>"


def mutate(files: Files, rng: np.random.Generator) -> str:
    """Mutate one to three annotation files in place, and return what was done."""
    done = []
    for _ in range(int(rng.integers(1, 4))):
        names = [name for name in files if not name.endswith(IMAGE)]
        if not names:
            break
        name = _pick(names, rng)
        kinds = [*ANY, *(STRUCTURED.get(name.rpartition(".")[2].lower(), ()) * 3)]
        mutation = _pick(kinds, rng)
        files[name] = mutation(files[name], rng)
        done.append(f"{mutation.__name__.strip('_')} {name}")
    return ", ".join(done)


def _pick(items: Sequence[Item], rng: np.random.Generator) -> Item:
    return items[int(rng.integers(len(items)))]


# Bytes.


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content or b"x")
    for _ in range(int(rng.integers(1, 9))):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def _insert(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content) + 1))
    text = _pick([rng.bytes(8), b"\0" * 50, _pick(TEXTS, rng).encode()], rng)
    return content[:at] + text + content[at:]


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    start, end = sorted(int(i) for i in rng.integers(0, len(content) + 1, 2))
    return content[:start] + content[end:]


def _repeat(content: bytes, rng: np.random.Generator) -> bytes:
    start, end = sorted(int(i) for i in rng.integers(0, len(content) + 1, 2))
    return content[:start] + content[start:end] * int(rng.integers(2, 30)) + content[end:]


def _shuffle_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(lines[i] for i in rng.permutation(len(lines)))


def _encode(content: bytes, rng: np.random.Generator) -> bytes:
    encoding = _pick(["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "cp037"], rng)
    return content.decode("latin-1").encode(encoding)


def _replace_number(content: bytes, rng: np.random.Generator) -> bytes:
    return _substituted(content, rng, rb"-?\d+(\.\d+)?", _pick(TEXTS, rng))


def _replace_word(content: bytes, rng: np.random.Generator) -> bytes:
    return _substituted(content, rng, rb"[\w./-]+", _pick(TEXTS, rng))


def _substituted(content: bytes, rng: np.random.Generator, pattern: bytes, text: str) -> bytes:
    """Replace one match of a pattern, or sometimes all."""
    matches = list(re.finditer(pattern, content))
    if not matches:
        return content
    replacement = text.encode(errors="surrogatepass")
    if rng.random() < 0.2 and len(replacement) < 100:
        return re.sub(pattern, lambda _: replacement, content)
    match = _pick(matches, rng)
    return content[: match.start()] + replacement + content[match.end() :]


# Files in a format.


def _json_value(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace, remove or repeat a value somewhere in a JSON file."""
    try:
        root = [json.loads(content)]
    except (ValueError, RecursionError):
        return content
    slots: list[tuple[Any, Any]] = []
    stack: list[Any] = [root]
    while stack and len(slots) < 2000:
        node = stack.pop()
        for key in node if isinstance(node, dict) else range(len(node)):
            slots.append((node, key))
            if isinstance(node[key], (dict, list)):
                stack.append(node[key])
    for _ in range(int(rng.integers(1, 4))):
        node, key = _pick(slots, rng)
        action = rng.random()
        try:
            if action < 0.7:
                node[key] = _pick(VALUES, rng)
            elif action < 0.85 and node is not root:
                del node[key]
            elif isinstance(node, list):
                node += [node[key]] * int(rng.integers(1, 4))
            else:
                node[_pick(["id", "name", "", "a" * 300, "bbox"], rng)] = node[key]
        except (KeyError, IndexError):  # removed before
            continue
    try:
        return json.dumps(root[0], ensure_ascii=bool(rng.random() < 0.8)).encode(errors="replace")
    except (ValueError, RecursionError):
        return content


def _json_text(content: bytes, rng: np.random.Generator) -> bytes:
    return _pick(
        [
            *(
                b"[" * 100_000,
                b'{"a":' * 50_000,
                b"[]",
                b"{}",
                b"null",
                b"1" * 5000,
                b'"a"',
                b"NaN",
            ),
            *(b'{"images": [], "annotations": [], "categories": []}', content + b"}", b"[1e999]"),
            content.replace(b'"id"', b'"id": 1, "id"', 1),
        ],
        rng,
    )


def _xml_text(content: bytes, rng: np.random.Generator) -> bytes:
    return _substituted(content, rng, rb"(?<=>)[^<]+(?=<)", _pick(TEXTS, rng))


def _xml_attribute(content: bytes, rng: np.random.Generator) -> bytes:
    return _substituted(content, rng, rb'(?<=")[^"<>]*(?=")', _pick(TEXTS, rng))


def _xml_tag(content: bytes, rng: np.random.Generator) -> bytes:
    name = _pick(["", "annotation", "object", "bndbox", "image", "box", "a:b", "x" * 5000], rng)
    return _substituted(content, rng, rb"(?<=<)/?\w+", name)


def _xml_head(content: bytes, rng: np.random.Generator) -> bytes:
    encoding = _pick(["utf-7", "utf-16", "base64", "idna", "cp037", "x", "utf-8", "zlib"], rng)
    heads = [f'<?xml version="1.0" encoding="{encoding}"?>', ENTITIES, "<a>" * 50_000]
    heads += ["<!DOCTYPE a SYSTEM 'file:///etc/passwd'>", "<!--", "<?php ?>", " <?xml?>"]
    return _pick(heads, rng).encode() + content


def _yaml_text(content: bytes, rng: np.random.Generator) -> bytes:
    extra = [
        BOMB,
        "names: *a\n",
        "? [a]\n: b\n",
        "path: ..\n",
        "path: /\n",
        "train: /\n",
        "val: ..\n",
    ]
    extra += [
        "train: [a, [b]]\n",
        "kpt_shape: [1e9, 9]\n",
        "kpt_shape: a\n",
        "names: {a: {b: c}}\n",
    ]
    extra += ["names: {-1: a}\n", "names: [a, a]\n", "names: 3\n", "nc: 99\n", "<<: &a {b: *a}\n"]
    text = _pick(extra, rng).encode()
    return text + content if rng.random() < 0.5 else content + b"\n" + text


def _yaml_value(content: bytes, rng: np.random.Generator) -> bytes:
    return _substituted(content, rng, rb"(?<=: )[^\n]+", _pick(TEXTS, rng))


def _table_cell(content: bytes, rng: np.random.Generator) -> bytes:
    return _substituted(content, rng, rb"[^,;\n]+", _pick(TEXTS, rng))


def _table_column(content: bytes, rng: np.random.Generator) -> bytes:
    """Remove, repeat or swap a column of all rows."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    index, action = int(rng.integers(8)), rng.random()
    for row in rows:
        if index < len(row):
            if action < 0.4:
                del row[index]
            else:
                row.insert(index if action < 0.7 else 0, row[index])
    return b"\n".join(b",".join(row) for row in rows)


Mutation = Callable[[bytes, np.random.Generator], bytes]
ANY: tuple[Mutation, ...] = (
    *(_flip, _truncate, _insert, _cut, _repeat, _shuffle_lines, _encode),
    *(_replace_number, _replace_word),
)
STRUCTURED: dict[str, tuple[Mutation, ...]] = {
    "json": (_json_value, _json_value, _json_value, _json_text),
    "xml": (_xml_text, _xml_attribute, _xml_tag, _xml_head),
    "yaml": (_yaml_text, _yaml_value),
    "csv": (_table_cell, _table_column),
}
