"""Check a wheel: its size, what it holds, and a prediction in a fresh virtual environment.

    python tools/check_wheel.py dist/*.whl

The backend of the environment is PyTorch, or what `--backend` names. Nothing but packages is
downloaded, since the wheel bundles the weights that are used.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

MOST_MEGABYTES = 15
BUNDLED = "cspdarknet/presets/bundled/"
NEEDED = ("cspdarknet/py.typed", f"{BUNDLED}yolox_nano_bccd/model.weights.h5")
FIRST_MINUTE = """
import numpy as np
import cspdarknet

image = np.full((48, 64, 3), 127, "uint8")
probabilities = cspdarknet.Predictor("csp_darknet_tiny_clothing")(image)
assert abs(probabilities.sum() - 1) < 1e-5, probabilities
print(len(cspdarknet.Predictor("yolox_nano_bccd")(image)), "objects in a gray image")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--backend", choices=("torch", "jax", "tensorflow"), default="torch")
    args = parser.parse_args()
    check_contents(args.wheel)
    check_first_minute(args.wheel, args.backend)


def check_contents(wheel: Path) -> None:
    """Print what the wheel bundles, and exit where it is too large or incomplete."""
    size = wheel.stat().st_size / 1e6
    with zipfile.ZipFile(wheel) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    print(f"{wheel.name}: {size:.1f} MB, {len(entries)} files")
    for name, entry in entries.items():
        if name.startswith(BUNDLED) and name.endswith(".h5"):
            print(f"  {name}: {entry.compress_size / 1e6:.1f} MB")
    foreign = [name for name in entries if not name.startswith("cspdarknet")]
    missing = [name for name in NEEDED if name not in entries]
    if size > MOST_MEGABYTES or foreign or missing:
        sys.exit(
            f"A wheel must have at most {MOST_MEGABYTES} MB, the package alone, and {NEEDED}. "
            f"Received: {size:.1f} MB; foreign: {foreign}; missing: {missing}"
        )


def check_first_minute(wheel: Path, backend: str) -> None:
    """Install the wheel in a fresh environment, and predict with the bundled models."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder, "Scripts" if sys.platform == "win32" else "bin", "python"))
        install = [python, "-m", "pip", "install", "--quiet", f"{wheel}[{backend}]"]
        subprocess.run(install, check=True)
        subprocess.run([python, "-m", "cspdarknet", "--version"], check=True, cwd=folder)
        subprocess.run([python, "-c", FIRST_MINUTE], check=True, cwd=folder)


if __name__ == "__main__":
    main()
