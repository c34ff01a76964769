"""How much memory does it take to read an image of 177 megapixels?

The peak memory of a new process (Linux) that reads one file of each kind. With `--checkout`,
another checkout of the package reads the same files.

    python benchmarks/image_memory.py
    python benchmarks/image_memory.py --checkout ../before
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.arguments import benchmark_parser
from harness.results import Row, write_results
from harness.workers import ROOT
from PIL import Image

SIDE = 13_300  # 177 megapixels
ORIENTATION, TURNED = 0x0112, 6
READ = """
import re, sys
from cspdarknet.images import read_image
read_image(sys.argv[1])
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


def write_images(folder: Path, side: int) -> Iterator[tuple[str, Path]]:
    """Write an image of each kind, and yield its name and path."""
    turned = Image.Exif()
    turned[ORIENTATION] = TURNED
    for name, mode, suffix, exif in (
        ("JPEG, RGB", "RGB", ".jpg", None),
        ("PNG, RGB", "RGB", ".png", None),
        ("PNG with transparency", "RGBA", ".png", None),
        ("PNG with transparency, turned", "RGBA", ".png", turned),
        ("PNG of 16 bits", "I;16", ".png", None),
        ("TIFF of floats", "F", ".tif", None),
    ):
        path = folder / f"image{suffix}"
        Image.new(mode, (side, side)).save(path, exif=exif or Image.Exif())
        yield name, path


def megabytes(checkout: Path, path: Path) -> int:
    """Return the peak memory of a process of a checkout that reads a file."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return round(int(done.stdout) * 1024 / 1e6)


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--side", type=int, default=SIDE, help="side in pixels")
    parser.add_argument("--checkout", type=Path, help="folder of another checkout")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_images(Path(folder), options.side):
            row: Row = {"image": name, "megabytes": megabytes(ROOT, path)}
            if options.checkout is not None:
                row["megabytes, other"] = megabytes(options.checkout.resolve(), path)
            rows.append(row)
            print(row, flush=True)
    text = f"Peak memory of a process that reads an image of {options.side}² pixels (Linux)."
    write_results(options.out, "image_memory", text, rows)


if __name__ == "__main__":
    main()
