"""Size of the structure of an ONNX file, from its bytes, before the file is parsed.

The numbers of weights take as much memory as in the file. Everything else (nodes, names, shapes)
takes up to a hundred times as much, so that it is bounded here.

Source: "Protocol Buffers: Encoding"; onnx.proto.
"""

from pathlib import Path
from typing import BinaryIO

from cspdarknet.checkpoints import limits
from cspdarknet.checkpoints.errors import CheckpointError

# Numbers of fields: the graph of a model, the weights of a graph, the numbers of a weight.
GRAPH, INITIALIZER, FLOATS, RAW = 7, 5, 4, 9
# The fields that are looked into, by depth.
INSIDE: tuple[set[int], ...] = ({GRAPH}, {INITIALIZER}, set())
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # types of fields
MAX_VARINT_BYTES = 10


def check_onnx_structure(path: Path) -> None:
    """Check that an ONNX file consists of weights for its largest part.

    Raises:
        CheckpointError: if its structure is larger than that of any YOLOX, or damaged.
    """
    left = [limits.MAX_ONNX_FIELDS, limits.MAX_ONNX_STRUCTURE_BYTES]
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(0)
        _check_message(file, end, 0, left)


def _check_message(file: BinaryIO, end: int, depth: int, left: list[int]) -> None:
    """Check the fields of a message up to its end, and take what they need off `left`."""
    while (start := file.tell()) < end:
        key = _varint(file)
        field, kind = key >> 3, key & 7
        size = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind, 0)
        if kind == LENGTH:
            size = _varint(file)
        elif kind == VARINT:
            _varint(file)
        elif not size:
            raise CheckpointError("it is not an ONNX file, or damaged.")
        content_end = file.tell() + size
        if content_end > end:
            raise CheckpointError("it has a field that reaches beyond its message.")
        left[0] -= 1
        if kind == LENGTH and field in INSIDE[depth]:
            _check_message(file, content_end, depth + 1, left)
        elif depth < 2 or field not in (FLOATS, RAW):
            left[1] -= content_end - start
        if min(left) < 0:
            raise CheckpointError("it has too many nodes or texts beside its weights: refused.")
        file.seek(content_end)


def _varint(file: BinaryIO) -> int:
    number = 0
    for i in range(MAX_VARINT_BYTES):
        byte = file.read(1)
        if not byte:
            raise CheckpointError("it is cut off, or damaged.")
        number |= (byte[0] & 127) << 7 * i
        if byte[0] < 128:
            return number
    raise CheckpointError("it is not an ONNX file, or damaged.")
