"""Recognition of weight files by their content."""

from pathlib import Path
from typing import Any, NoReturn

from cspdarknet.checkpoints import state_dicts
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.errors import CheckpointError, damage_reported
from cspdarknet.checkpoints.families import kinds, names, pickled
from cspdarknet.checkpoints.guard import guarded
from cspdarknet.checkpoints.readers import (
    archive,
    hdf5,
    keras2,
    keras3,
    onnx,
    safetensors,
    timm,
    torch,
    yolox,
)
from cspdarknet.checkpoints.readers.timm_file import TimmWeights
from cspdarknet.checkpoints.readers.yolox_file import YOLOXWeights
from cspdarknet.checkpoints.weight_file import Kind

HDF5_SIGNATURE, ZIP_SIGNATURE = b"\x89HDF\r\n\x1a\n", b"PK"
# What can follow the version at the start of an ONNX file: its texts, its graph or its operators.
ONNX_FIELDS = b"\x12\x1a\x22\x32\x3a\x42"
MAX_ONNX_VERSION = 32
# One of them is in each .safetensors file of this package.
OWN_STEMS = ("stem_conv_conv/kernel", "stem_conv1_conv/kernel")


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a weight file of any known format.

    Args:
        path: the file.

    Returns:
        The open file. Close it, or use it in a `with` statement.

    Raises:
        CheckpointError: if the file is missing, damaged, unsafe or of an unknown format; a
            `ForeignFileError` if it is a known kind of file that this package does not load.
    """
    with damage_reported(path):
        return guarded(_open(path))


def _open(path: Path) -> Checkpoint:
    start = _start(path)
    if start.startswith(HDF5_SIGNATURE):
        store = hdf5.HDF5File(path)
        return (keras2 if keras2.is_keras2(store) else keras3).checkpoint(store)
    if archive.is_archive(path):
        return archive.checkpoint(path)
    if safetensors.is_safetensors(start):
        return _open_safetensors(path)
    if (kind := kinds.recognize(path, start)) is not None:
        _refuse(path, kind)
    if start.startswith(ZIP_SIGNATURE) or path.suffix in (".pth", ".pt"):
        return _open_torch(path)
    if _is_onnx(path, start):
        return _open_onnx(path)
    if path.suffix in (".h5", ".hdf5", ".keras"):
        raise CheckpointError(f"{path} is not a readable {path.suffix} file, or damaged.")
    raise CheckpointError(
        f"{path} has an unknown format. Expected: HDF5 (.h5), .keras, PyTorch (.pth), .safetensors "
        f"or ONNX (.onnx). Received: a file that begins with {start[:16]!r}"
    )


def _start(path: Path) -> bytes:
    """Return the first bytes of a file."""
    if path.is_dir() and (kind := kinds.recognize_folder(path)) is not None:
        raise kind.error(path)
    if not path.is_file():
        raise CheckpointError(f"There is no weight file {path}.")
    with path.open("rb") as file:
        return file.read(kinds.START_BYTES)


def _refuse(path: Path, kind: Kind) -> NoReturn:
    """Raise the error of a file of a known kind; a pickle may be known by its classes."""
    if kind in (kinds.LEGACY, kinds.PICKLE):
        kind = pickled.recognize(path) or kind
    raise kind.error(path)


def _open_safetensors(path: Path) -> Checkpoint:
    checkpoint = safetensors.checkpoint(path)
    if prefixes := timm.prefixes(checkpoint.shapes):
        weights = TimmWeights.of(
            path, "timm, safetensors", checkpoint.shapes, checkpoint.read, prefixes[0]
        )
        return weights.checkpoint()
    if any(name.endswith(yolox.STEM) for name in checkpoint.shapes):
        content = {name: checkpoint.read(name) for name in checkpoint.shapes}
        return _open_state_dict(path, "safetensors", content)
    if not any(stem in checkpoint.shapes for stem in OWN_STEMS):
        raise (names.recognize(checkpoint.shapes) or names.OTHER).error(path)
    return checkpoint


def _open_torch(path: Path) -> Checkpoint:
    try:
        content = torch.read_torch(path)
    except CheckpointError as error:
        if (kind := pickled.recognize(path)) is not None:
            raise kind.error(path) from error
        raise
    return _open_state_dict(path, "PyTorch", content)


def _open_state_dict(path: Path, file_format: str, content: Any) -> Checkpoint:
    try:
        chosen, notes = state_dicts.choose(path, content)
        if chosen.is_timm:
            return _timm(path, f"timm, {file_format}", chosen, notes)
        file_format = f"YOLOX, {file_format}"
        weights = YOLOXWeights(path, file_format, chosen.arrays, chosen.prefix, notes=notes)
        checkpoint = weights.checkpoint()
        checkpoint.config()  # other networks begin with a stem of the same name
    except CheckpointError as error:
        if (kind := names.recognize(state_dicts.weight_names(content))) is not None:
            raise kind.error(path) from error
        raise
    return checkpoint


def _timm(
    path: Path, file_format: str, chosen: state_dicts.StateDict, notes: tuple[str, ...]
) -> Checkpoint:
    shapes = {name: array.shape for name, array in chosen.arrays.items()}
    weights = TimmWeights.of(
        path, file_format, shapes, chosen.arrays.__getitem__, chosen.prefix, notes
    )
    return weights.checkpoint()


def _is_onnx(path: Path, start: bytes) -> bool:
    has_version = start[:1] == b"\x08" and start[1:2] < bytes([MAX_ONNX_VERSION])
    return path.suffix == ".onnx" or (has_version and start[2:3] in ONNX_FIELDS)


def _open_onnx(path: Path) -> Checkpoint:
    try:
        weights = onnx.read_onnx(path)
    except CheckpointError as error:
        if (kind := kinds.recognize_onnx(path)) is not None:
            raise kind.error(path) from error
        raise
    return YOLOXWeights(
        path,
        "ONNX export of YOLOX",
        weights.arrays,
        yolox.BACKBONE,
        weights.activation,
        weights.image_size,
        weights.notes,
    ).checkpoint()
