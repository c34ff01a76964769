"""Recognition of files that are not weight files of this package by their first bytes."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers.zip_file import ZipFile
from cspdarknet.checkpoints.weight_file import Kind

START_BYTES = 512
END_BYTES = 2**16  # of an ONNX file, with its metadata
WEIGHT_SUFFIXES = (".pth", ".pt", ".onnx", ".safetensors", ".h5", ".keras", ".ckpt")
# PyTorch before 1.6 begins its files with this number, pickled.
LEGACY_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
LEGACY_TAR_MEMBER = b"sys_info"
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip"}
EXPORT = "load the weights that it was made from; this package reads .pth, .onnx and .safetensors"

LFS_POINTER = Kind(
    "a Git LFS pointer, not the weights themselves",
    "run `git lfs pull` in its repository, or download the file itself",
)
EMPTY = Kind("an empty file", "download or copy it again")
PAGE = Kind(
    "a web page, not a weight file", "download the file itself; a browser's download may be needed"
)
TEXT = Kind("a text, not a weight file", "pass the weight file itself")
CONFIG = Kind("the config of a preset, without its weights", "pass the folder that it is in")
TORCHSCRIPT = Kind(
    "a TorchScript archive",
    "save the weights of the model in Python: torch.save(torch.jit.load(path).state_dict(), "
    "'weights.pth')",
    format="TorchScript",
)
LEGACY = Kind(
    "a PyTorch file of a version before 1.6",
    "load and save it once with a newer PyTorch: torch.save(torch.load(path), new_path)",
    format="PyTorch before 1.6",
)
PICKLE = Kind(
    "a Python pickle, which could execute code",
    "save its weights with torch.save, as a dict of tensors",
    format="pickle",
)
TFLITE = Kind("a TensorFlow Lite model", EXPORT, "TensorFlow Lite", "TensorFlow Lite")
ENGINE = Kind("a TensorRT engine", EXPORT, "TensorRT", "TensorRT")
DARKNET = Kind(
    "a weight file of the Darknet framework (YOLOv2 to YOLOv4)",
    "use Darknet or OpenCV for it; its networks are not the CSPDarkNet of YOLOX",
    "Darknet",
    "Darknet",
)
SAVED_MODEL = Kind(
    "a TensorFlow SavedModel",
    "save the Keras model that it was made from as .keras or .weights.h5",
    "TensorFlow",
    "SavedModel",
)
NUMPY = Kind("a file of NumPy arrays", EXPORT, format="NumPy")
ULTRALYTICS_ONNX = Kind(
    "an ONNX export of Ultralytics, not of YOLOX",
    "run it with the ultralytics package or ONNX Runtime; this package has another architecture",
    "Ultralytics",
    "ONNX",
)
OPENVINO = Kind("an OpenVINO model", EXPORT, "OpenVINO", "OpenVINO")


def recognize_onnx(path: Path) -> Kind | None:
    """Return the kind of an ONNX file of another network by its metadata, if it is known."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        end = file.read()
    return ULTRALYTICS_ONNX if b"ltralytics" in end else None


def recognize_folder(path: Path) -> Kind | None:
    """Return the kind of a folder, if it is known."""
    return SAVED_MODEL if (path / "saved_model.pb").is_file() else None


def recognize(path: Path, start: bytes) -> Kind | None:
    """Return the kind of a file that is not loaded, if it is known.

    Args:
        path: the file.
        start: its first `START_BYTES` bytes.
    """
    if not start:
        return EMPTY
    for is_kind, kind in KINDS:
        if is_kind(path, start):
            return kind
    if start.startswith(b"PK") and zipfile.is_zipfile(path):
        return _recognize_zip(path)
    for magic, name in PACKED.items():
        if start.startswith(magic):
            return _packed(name)
    if start[257:262] == b"ustar":
        return LEGACY if LEGACY_TAR_MEMBER in start[:100] else _packed("tar")
    return None


def _packed(name: str, members: str = "") -> Kind:
    return Kind(f"a {name} archive{members}", "unpack it, and pass the weight file in it")


def _recognize_zip(path: Path) -> Kind | None:
    try:
        with ZipFile(path) as archive:
            members = list(archive.members)
    except CheckpointError:
        return None
    endings = {name.rpartition("/")[2] for name in members}
    if "constants.pkl" in endings or any("/code/" in name for name in members):
        return TORCHSCRIPT
    if "data.pkl" in endings:
        return None
    if "saved_model.pb" in endings:
        return SAVED_MODEL
    if members and all(name.endswith(".npy") for name in members):
        return NUMPY
    inside = [name for name in members if name.endswith(WEIGHT_SUFFIXES)]
    found = f" with {inside[0][:80]!r}" if inside else " without a weight file"
    return _packed("zip", found) if inside else Kind(f"a zip archive{found}", EXPORT)


def _is_page(start: bytes) -> bool:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype html", b"<html", b"<head"))


def _is_openvino(path: Path, start: bytes) -> bool:
    return path.suffix == ".xml" and b"<net " in start


def _is_darknet(path: Path, start: bytes) -> bool:
    version = [int.from_bytes(start[i : i + 4], "little") for i in (0, 4)]
    return path.suffix == ".weights" and version[0] == 0 and version[1] in (1, 2)


def _is_text(path: Path, start: bytes) -> bool:
    del path
    return all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in start)


KINDS: tuple[tuple[Callable[[Path, bytes], bool], Kind], ...] = (
    (lambda _, start: start.startswith(b"version https://git-lfs."), LFS_POINTER),
    (lambda _, start: _is_page(start), PAGE),
    (_is_openvino, OPENVINO),
    (lambda _, start: start.startswith(LEGACY_TORCH), LEGACY),
    (lambda _, start: start[4:8] == b"TFL3", TFLITE),
    (lambda path, start: start.startswith(b"ftrt") or path.suffix in (".engine", ".trt"), ENGINE),
    (_is_darknet, DARKNET),
    (lambda _, start: start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05", PICKLE),
    (lambda path, _: path.suffix == ".pb", SAVED_MODEL),
    (lambda _, start: start.startswith(b"\x93NUMPY"), NUMPY),
    (lambda path, start: path.name == "config.json" and _is_text(path, start), CONFIG),
    (_is_text, TEXT),
)
