"""Object headers and groups of HDF5 files, read without the C library.

The C library trusts offsets and counts in a file, and can crash the process on a damaged one. Here
every structure must lie inside the file and is visited once, so that the work is bounded by the
file's size. Files have the structures of HDF5 1.6, which h5py writes by default, or of HDF5 1.8.

Source: HDF5 File Format Specification, sections "Superblock", "Infrastructure", "Object Headers".
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import hdf5_messages as messages
from cspdarknet.checkpoints.readers.hdf5_messages import Message, unusual

SHARED = 2  # bit in a message's flags: the content is elsewhere


class Blocks:
    """Bounded access to the blocks of a file.

    Args:
        stream: the content of the file.

    Attributes:
        size: size of the file in bytes.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, 2)
        self._left = limits.max_content_bytes(self.size)
        self._visited: set[int] = set()

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of a structure, all of which must exist."""
        self._left -= size
        if address + size > self.size or self._left < 0:
            raise CheckpointError("it refers to bytes that it does not have.")
        self._stream.seek(address)
        return self._stream.read(size)

    def visit(self, address: int, size: int, signature: bytes = b"") -> bytes:
        """Return the bytes of a structure that may be read once, and begins with a signature."""
        if address in self._visited or len(self._visited) > 8 * limits.MAX_OBJECTS:
            raise CheckpointError("it repeats or nests too much: refused.")
        self._visited.add(address)
        data = self.read(address, size)
        if not data.startswith(signature):
            raise CheckpointError(f"it has no {signature.decode()} where one is expected.")
        return data


def root_address(blocks: Blocks) -> int:
    """Return the address of the root group's header."""
    version = blocks.read(8, 1)[0]
    if version in (0, 1):
        skipped = 4 * version
        sizes = blocks.read(13, 2)
        base, _, end, _, _, root = struct.unpack("<6Q", blocks.read(24 + skipped, 48))
    elif version in (2, 3):
        sizes = blocks.read(9, 2)
        base, _, end, root = struct.unpack("<4Q", blocks.read(12, 32))
    else:
        raise unusual(f"a superblock of version {version}")
    if sizes != b"\x08\x08" or base != 0:
        raise unusual("offsets of another size, or a block before its content")
    if end > blocks.size:
        raise CheckpointError(f"it has {blocks.size} of {end} bytes: it was cut off.")
    return int(root)


def read_header(blocks: Blocks, address: int) -> list[Message]:
    """Return the messages of an object header."""
    start = blocks.visit(address, 16)
    if start.startswith(b"OHDR"):
        return _new_header(blocks, address, start)
    version, _, count, _, size = struct.unpack_from("<BBHII", start)
    if version != 1:
        raise CheckpointError("it has no object header where one is expected.")
    found: list[Message] = []
    pending = [(address + 16, size)]
    while pending and len(found) < count:
        place, size = pending.pop(0)
        block, at = blocks.read(place, size), 0
        while at + 8 <= size and len(found) < count:
            kind, length, flags = struct.unpack_from("<HHB", block, at)
            at += 8
            message = _message(kind, flags, block[at : at + length], length, place + at)
            if kind == messages.CONTINUATION:
                pending.append(struct.unpack("<QQ", message.data))
                blocks.visit(pending[-1][0], 0)
            found.append(message)
            at += length
    return found


def _message(kind: int, flags: int, data: bytes, length: int, address: int) -> Message:
    if len(data) != length:
        raise CheckpointError("it has a message that is cut off.")
    if flags & SHARED and kind in (messages.DATATYPE, messages.DATASPACE, messages.FILTERS):
        raise unusual("a type that is shared by several arrays")
    return Message(kind, data, address)


def _new_header(blocks: Blocks, address: int, start: bytes) -> list[Message]:
    """Return the messages of an object header of HDF5 1.8."""
    flags = start[5]
    at = 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)  # times, limits of attributes
    width = 1 << (flags & 3)
    size = int.from_bytes(blocks.read(address + at, width), "little")
    head = 6 if flags & 4 else 4  # of a message, with the order of its creation
    found: list[Message] = []
    pending = [(address + at + width, size)]
    while pending:
        place, size = pending.pop(0)
        block, at = blocks.read(place, size), 0
        while at + head <= size:
            kind, length, message_flags = struct.unpack_from("<BHB", block, at)
            at += head
            message = _message(kind, message_flags, block[at : at + length], length, place + at)
            if kind == messages.CONTINUATION:
                next_place, next_size = struct.unpack("<QQ", message.data)
                blocks.visit(next_place, 4, b"OCHK")
                pending.append((next_place + 4, next_size - 8))  # without signature and checksum
            found.append(message)
            at += length
    return found


def tree_entries(
    blocks: Blocks, address: int, kind: int, key_size: int
) -> Iterator[tuple[bytes, int]]:
    """Yield the key and the address of each entry on the lowest level of a version 1 B-tree."""
    pending = [address]
    while pending:
        node = pending.pop()
        start = blocks.visit(node, 24, b"TREE")
        node_kind, level, count = struct.unpack_from("<BBH", start, 4)
        if node_kind != kind:
            raise CheckpointError("it has an index of another kind where one is expected.")
        entries = blocks.read(node + 24, count * (key_size + 8))
        children = [
            (entries[at : at + key_size], struct.unpack_from("<Q", entries, at + key_size)[0])
            for at in range(0, len(entries), key_size + 8)
        ]
        if level == 0:
            yield from children
        else:
            pending += [child for _, child in reversed(children)]


def heap_objects(blocks: Blocks, address: int) -> Iterator[tuple[int, bytes]]:
    """Yield the index and the content of each object in a global heap."""
    size = struct.unpack_from("<Q", blocks.visit(address, 16, b"GCOL"), 8)[0]
    heap, at = blocks.read(address, size), 16
    while at + 16 <= size:
        index, length = struct.unpack_from("<H6xQ", heap, at)
        yield index, heap[at + 16 : at + 16 + length]
        at += 16 + (length + 7) // 8 * 8
