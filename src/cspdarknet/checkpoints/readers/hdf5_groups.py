"""Members of groups in HDF5 files, read without the C library.

A group of HDF5 1.6 has a tree of tables, whose names are in a heap. A group of HDF5 1.8 has links,
in its header or, if there are many, in a fractal heap with an index.

Source: HDF5 File Format Specification, sections "Group Symbol Table Nodes", "Link Message",
"Fractal Heap", "Version 2 B-trees".
"""

import struct
from collections.abc import Iterator

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import hdf5_messages as messages
from cspdarknet.checkpoints.readers.hdf5_messages import Message, unusual
from cspdarknet.checkpoints.readers.hdf5_structure import Blocks, tree_entries

SOFT_LINK = 2  # type of the cache of a symbol table's entry
HARD_LINK = 0  # type of a link message
NODE_BYTES = 10  # signature, version, type and checksum of a node of a version 2 B-tree
ID_BYTES = 7  # an object's type, place and size in a heap of links
RECORD_BYTES = 4 + ID_BYTES  # of an index of names: a hash and an object


def members(blocks: Blocks, header: list[Message]) -> Iterator[tuple[str, int]] | None:
    """Return the name and the address of each member of a group; `None` for other objects."""
    kinds = {message.kind: message for message in header}
    if messages.SYMBOL_TABLE in kinds:
        return _table_members(blocks, kinds[messages.SYMBOL_TABLE].data)
    if kinds.keys() & {messages.LINK, messages.LINK_INFO, messages.GROUP_INFO}:
        return _linked_members(blocks, header)
    return None


def _table_members(blocks: Blocks, table: bytes) -> Iterator[tuple[str, int]]:
    tree, heap = struct.unpack_from("<QQ", table)
    size, _, address = struct.unpack_from("<QQQ", blocks.visit(heap, 32, b"HEAP"), 8)
    names = blocks.read(address, size)
    for _, node in tree_entries(blocks, tree, kind=0, key_size=8):
        count = int.from_bytes(blocks.visit(node, 8, b"SNOD")[6:8], "little")
        entries = blocks.read(node + 8, 40 * count)
        for offset, member, cache in struct.iter_unpack("<QQI20x", entries):
            end = names.find(b"\0", offset, offset + limits.MAX_NAME)
            if end < 0:
                raise CheckpointError("it has a name that is too long, or cut off.")
            name = names[offset:end].decode()
            if cache == SOFT_LINK:
                raise CheckpointError(f"it has a link at {name!r}: refused.")
            yield name, member


def _linked_members(blocks: Blocks, header: list[Message]) -> Iterator[tuple[str, int]]:
    for message in header:
        if message.kind == messages.LINK:
            yield _decode_link(message.data)
        if message.kind == messages.LINK_INFO:
            at = 2 + (8 if message.data[1] & 1 else 0)  # after the largest number of a member
            heap, index = struct.unpack_from("<QQ", message.data, at)
            if heap != messages.UNDEFINED:
                yield from map(_decode_link, _heap_objects(blocks, heap, index))


def _decode_link(data: bytes) -> tuple[str, int]:
    """Return the name and the address of a link message."""
    flags, at, kind = data[1], 2, HARD_LINK
    if flags & 8:
        kind, at = data[at], at + 1
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)  # number of the member, encoding
    width = 1 << (flags & 3)
    length = int.from_bytes(data[at : at + width], "little")
    at += width
    name = data[at : at + min(length, limits.MAX_NAME)].decode()
    if length > limits.MAX_NAME or kind != HARD_LINK:
        raise CheckpointError(f"it has a link at {name!r}: refused.")
    return name, struct.unpack_from("<Q", data, at + length)[0]


def _heap_objects(blocks: Blocks, heap: int, index: int) -> Iterator[bytes]:
    """Yield the objects of a fractal heap that an index lists."""
    header = blocks.visit(heap, 142, b"FRHP")
    id_bytes, filters = struct.unpack_from("<HH", header, 5)
    width, first_size, largest, bits, _, root, rows = struct.unpack_from("<HQQHHQH", header, 110)
    if id_bytes != ID_BYTES or filters or bits != 32:
        raise unusual("a group with compressed links")
    parts = (
        [(root, first_size)]
        if rows == 0
        else list(_direct_blocks(blocks, root, rows * width, width, first_size, largest))
    )
    starts = [0]
    for _, size in parts:
        starts.append(starts[-1] + size)
    for record in _index_records(blocks, index):
        kind, offset, length = struct.unpack("<BIH", record[4:])
        block = next((i for i, start in enumerate(starts[1:]) if offset < start), -1)
        if kind & 0x30 or block < 0 or offset + length > starts[block + 1]:
            raise CheckpointError("it has a damaged heap of links.")
        yield blocks.read(parts[block][0] + offset - starts[block], length)


def _direct_blocks(
    blocks: Blocks, root: int, count: int, width: int, first_size: int, largest: int
) -> Iterator[tuple[int, int]]:
    """Yield the address and the size of each block of a fractal heap."""
    blocks.visit(root, 17, b"FHIB")
    for i, (address,) in enumerate(struct.iter_unpack("<Q", blocks.read(root + 17, 8 * count))):
        size = first_size << max(i // width - 1, 0)
        if size > largest:
            raise unusual("a group with more than 10 000 members")
        yield address, size


def _index_records(blocks: Blocks, index: int) -> Iterator[bytes]:
    """Yield the records of a version 2 B-tree of names."""
    header = blocks.visit(index, 34, b"BTHD")
    node_bytes, record_bytes, depth = struct.unpack_from("<IHH", header, 6)
    root, count = struct.unpack_from("<QH", header, 16)
    if record_bytes != RECORD_BYTES or depth > 4:
        raise unusual("a group with another index")
    pointer_bytes = _pointer_bytes(node_bytes, depth)
    pending = [(root, count, depth)] if count else []
    while pending:
        node, count, level = pending.pop()
        size = NODE_BYTES - 4 + count * RECORD_BYTES
        width = pointer_bytes[level]
        data = blocks.visit(node, size + (count + 1) * width, b"BTIN" if level else b"BTLF")
        for at in range(NODE_BYTES - 4, size, RECORD_BYTES):
            yield data[at : at + RECORD_BYTES]
        for at in range(size, len(data), width or 1):
            child, count = int.from_bytes(data[at : at + 8], "little"), data[at + 8 :]
            pending.append((child, int.from_bytes(count[: pointer_bytes[-1]], "little"), level - 1))


def _pointer_bytes(node_bytes: int, depth: int) -> list[int]:
    """Return the size of a pointer to a child on each level, and last that of its first count."""
    most = (node_bytes - NODE_BYTES) // RECORD_BYTES  # records in a node
    total = most  # records in a node and below it
    count_bytes = _width(most)
    sizes, total_bytes = [0], 0
    for _ in range(depth):
        sizes.append(8 + count_bytes + total_bytes)
        most = (node_bytes - NODE_BYTES - sizes[-1]) // (RECORD_BYTES + sizes[-1])
        total = (most + 1) * total + most
        total_bytes = _width(total)
    return [*sizes, count_bytes]


def _width(number: int) -> int:
    """Return the number of bytes that numbers up to this one take."""
    return (max(number, 1).bit_length() - 1) // 8 + 1
