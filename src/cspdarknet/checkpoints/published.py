"""SHA-256 of published weight files, by which their license is known."""

import hashlib
from pathlib import Path

LICENSE = "Apache-2.0"  # of all of them
# KerasCV's files of Keras 2, and those of YOLOX's release 0.1.1rc0.
SHA256 = {
    "kerascv_tiny.h5": "0007ae82c95be4d4aef06368a7c38e006381324d77e5df029b04890e18a8ad19",
    "kerascv_l.h5": "9303aabfadffbff8447171fce1e941f96d230d8f3cef30d3f05a9c85097f8f1e",
    "yolox_nano.pth": "cd28f55fbbc1829f99d9ac9b38a16d259a22889739c8728ea877610201feff7b",
    "yolox_tiny.pth": "9de513de589ac98bb92d3bca53b5af7b9acfa9b0bacb831f7999d0f7afaee8f0",
    "yolox_s.pth": "f55ded7181e1b0c13285c56e7790b8f0e8f8db590fe4edb37f0b7f345c913a30",
    "yolox_m.pth": "60076992b32da82951c90cfa7bd6ab70eba9eda243e08b940a396f60ac2d19b6",
    "yolox_l.pth": "1e6b7fa6240375370b2a8a8eab9066b3cdd43fd1d0bfa8d2027fd3a51def2917",
    "yolox_x.pth": "5652330b6ae860043f091b8f550a60c10e1129f416edfdb65c259be6caf355cf",
    "yolox_tiny.onnx": "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7",
    "yolox_s.onnx": "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
}


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def published_name(sha256: str) -> str | None:
    """Return the name of the published file with this SHA-256, if there is one."""
    return next((name for name, known in SHA256.items() if known == sha256), None)


def license_of(sha256: str) -> str | None:
    """Return the license of the published file with this SHA-256, if there is one."""
    return None if published_name(sha256) is None else LICENSE
