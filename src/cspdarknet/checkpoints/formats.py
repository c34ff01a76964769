"""Recognition of weight files by their content."""

from pathlib import Path

from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import (
    archive,
    hdf5,
    keras2,
    keras3,
    onnx,
    safetensors,
    torch,
    yolox,
)

HDF5_SIGNATURE, ZIP_SIGNATURE = b"\x89HDF\r\n\x1a\n", b"PK"


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a weight file of any known format.

    Args:
        path: the file.

    Returns:
        The open file. Close it, or use it in a `with` statement.

    Raises:
        CheckpointError: if the file is missing, damaged, unsafe or of an unknown format.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no weight file {path}.")
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(HDF5_SIGNATURE):
        store = hdf5.HDF5File(path)
        return (keras2 if keras2.is_keras2(store) else keras3).checkpoint(store)
    if archive.is_archive(path):
        return archive.checkpoint(path)
    if safetensors.is_safetensors(start):
        return safetensors.checkpoint(path)
    if start.startswith(ZIP_SIGNATURE) or path.suffix in (".pth", ".pt"):
        return yolox.checkpoint(path, "YOLOX, PyTorch", torch.read_state_dict(path))
    if path.suffix == ".onnx":
        return yolox.checkpoint(path, "ONNX export of YOLOX", onnx.read_onnx(path))
    if path.suffix in (".h5", ".hdf5", ".keras"):
        raise CheckpointError(f"{path} is not a readable {path.suffix} file, or damaged.")
    raise CheckpointError(
        f"{path} has an unknown format. Expected: HDF5 (.h5), .keras, PyTorch (.pth), .safetensors "
        f"or ONNX (.onnx). Received: a file that begins with {start!r}"
    )
