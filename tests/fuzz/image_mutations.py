"""Mutations of image files, some of which know PNG, TIFF and EXIF.

All randomness is that of a generator.
"""

import struct
import zlib

from fuzz.image_seeds import chunk
from fuzz.mutations import INTERESTING, between, mutate_bytes, pick, put_number

PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*")
SIZES = (0, 1, 2, 65_535, 65_536, 13_000, 20_000, 100_000, 2**31 - 1, 2**32 - 1)
TAG_BYTES = 12


def mutate(data, rng, others):
    """Return changed bytes, and what was done.

    Args:
        data: the file.
        rng: generator of random numbers.
        others: other files, of which parts may be taken.
    """
    if rng.random() < 0.1:
        return _joined(data, rng, others)
    if data.startswith(PNG) and rng.random() < 0.6:
        return _mutate_png(data, rng)
    at = min((i for magic in TIFF if (i := data.find(magic)) >= 0), default=-1)
    if at >= 0 and rng.random() < 0.5:
        return _mutate_tags(data, at, rng)
    if rng.random() < 0.3:
        return _mutate_header(data, rng)
    return mutate_bytes(data, rng)


def _joined(data, rng, others):
    """Put the beginning of one file before the rest of another."""
    other = pick(rng, others)
    return data[: between(rng, 4, 64)] + other[between(rng, 0, len(other)) :], "joined"


def _mutate_header(data, rng):
    """Replace numbers among the first bytes, where most formats have their size."""
    for _ in range(between(rng, 1, 3)):
        width = pick(rng, (2, 4))
        at = between(rng, 2, min(len(data), 64))
        value = pick(rng, SIZES) % (1 << 8 * width)
        data = data[:at] + value.to_bytes(width, pick(rng, ("little", "big"))) + data[at + width :]
    return data, "header"


def _chunks(data):
    at = len(PNG)
    while at + 12 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12


def _mutate_png(data, rng):
    """Change the chunks of a PNG, and keep their checksums right."""
    chunks = list(_chunks(data))
    action = pick(rng, ("size", "content", "pixels", "text", "profile", "repeat", "drop", "exif"))
    i = between(rng, 0, len(chunks) - 1)
    if action == "size":
        header = struct.pack(">II", pick(rng, SIZES), pick(rng, SIZES))
        chunks[0] = (b"IHDR", header + chunks[0][1][8:])
    elif action == "content":
        chunks[i] = (chunks[i][0], mutate_bytes(chunks[i][1], rng)[0])
    elif action == "pixels":
        bomb = zlib.compress(bytes(pick(rng, (1, 10_000, 5_000_000))))
        chunks = [(k, bomb if k in (b"IDAT", b"fdAT") else c) for k, c in chunks]
    elif action in ("text", "profile"):
        kind = b"zTXt" if action == "text" else b"iCCP"
        bomb = zlib.compress(bytes(between(rng, 1, 3_000_000)))
        chunks[1:1] = [(kind, b"%d\0\0" % n + bomb) for n in range(pick(rng, (1, 3, 60)))]
    elif action == "repeat":
        chunks[i:i] = [chunks[i]] * pick(rng, (1, 10, 1000))
    elif action == "drop":
        del chunks[i]
    else:
        tiff, _ = _mutate_tags(_tags(rng), 0, rng)
        chunks[1:1] = [(b"eXIf", tiff)]
    return PNG + b"".join(chunk(kind, content) for kind, content in chunks), f"png {action}"


def _tags(rng):
    """Return EXIF data with some tags, all of whose values are the same bytes."""
    count = pick(rng, (1, 5, 300))
    entries = b"".join(
        struct.pack("<HHII", tag, pick(rng, (1, 2, 3, 4, 5, 7, 12)), between(rng, 1, 5000), 8)
        for tag in range(0x0112, 0x0112 + count)
    )
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", count) + entries + bytes(2000)


def _mutate_tags(data, at, rng):
    """Change the entries of the first directory of TIFF or EXIF data that begin at a place."""
    order = "little" if data[at : at + 2] == b"II" else "big"
    start = at + int.from_bytes(data[at + 4 : at + 8], order)
    count = int.from_bytes(data[start : start + 2], order)
    if not 0 < count < 1000 or rng.random() < 0.1:
        return put_number(data, at + 4, 4, rng), "tags offset"
    for _ in range(between(rng, 1, 3)):
        entry = start + 2 + TAG_BYTES * between(rng, 0, count - 1)
        field, width = pick(rng, ((0, 2), (2, 2), (4, 4), (8, 4)))
        values = (between(rng, 0, 12), pick(rng, INTERESTING), start, at, len(data))
        value = pick(rng, values) % (1 << 8 * width)
        changed = value.to_bytes(width, order)
        data = data[: entry + field] + changed + data[entry + field + width :]
    return data, "tags"
