"""FLOPs and time of an image of each built-in preset, as `benchmarks/zoo.py` measured them."""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "measured.csv"


class Cost(NamedTuple):
    """What an image costs, in float32, on two cores of a server's processor.

    Attributes:
        pixels: side of the image.
        gflops: billions of floating-point operations.
        milliseconds: time of the image, on the faster of ONNX Runtime and OpenVINO.
    """

    pixels: int
    gflops: float
    milliseconds: float


@cache
def costs() -> dict[str, Cost]:
    """Return what an image costs by the name of the preset."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return {
            row["name"]: Cost(int(row["pixels"]), float(row["gflops"]), float(row["milliseconds"]))
            for row in csv.DictReader(file)
        }
