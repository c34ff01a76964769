"""The structure of ONNX files, from their bytes."""

import pytest

from cspdarknet.checkpoints import CheckpointError, limits
from cspdarknet.checkpoints.readers.protobuf import check_onnx_structure
from onnx_files import yolox_onnx
from yolox_files import yolox_like

pytestmark = pytest.mark.one_backend
MODEL, GRAPH, TENSOR = b"\x08\x08", b"\x3a", b"\x2a"


def field(key, content):
    size, number = len(content), b""
    while size > 127:
        number, size = number + bytes([size & 127 | 128]), size >> 7
    return key + number + bytes([size]) + content


def check(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    check_onnx_structure(tmp_path / "a.onnx")


def test_the_numbers_of_weights_do_not_count(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    check(tmp_path, yolox_onnx(yolox_like()))
    monkeypatch.setattr(limits, "MAX_ONNX_STRUCTURE_BYTES", 100)
    numbers = field(b"\x4a", bytes(10_000)) + field(b"\x22", bytes(10_000))
    check(tmp_path, MODEL + field(GRAPH, field(TENSOR, b"\x10\x01" + numbers)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (MODEL + field(GRAPH, b"\x0a\x00" * 300_000), "too many nodes"),
        (MODEL + field(GRAPH, b"\x2a\x00" * 300_000), "too many nodes"),
        (MODEL + field(GRAPH, field(b"\x0a", bytes(5_000_000))), "too many nodes"),
        (field(GRAPH, field(TENSOR, field(b"\x32", bytes(5_000_000)))), "too many nodes"),
        (MODEL + GRAPH + b"\xff\xff\xff\x7f", "beyond its message"),
        (MODEL + field(GRAPH, TENSOR + b"\x05a"), "beyond its message"),
        (MODEL + b"\x0b", "not an ONNX file"),
        (b"\xff" * 11, "not an ONNX file"),
        (MODEL + b"\x80", "cut off"),
    ],
)
def test_large_and_damaged_structures(content, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        check(tmp_path, content)
