"""The fuzzer of image files: damaged and hostile files of every format, read in a worker process.

    python tests/fuzz/images.py --cases 20000

prints how the cases ended, and fails if one was neither read nor refused with a line that names
the file. `--only NUMBER` repeats a case and keeps its file.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz import harness
from fuzz.image_mutations import mutate
from fuzz.image_seeds import seeds
from fuzz.mutations import pick

MODULE, GOOD = "image_use", ("read", "refused")
CALLS = ("read", "read", "crop", "shrink", "size")
UNCHANGED = 0.02  # fraction of the cases that are whole files
SUFFIXES = (".jpg", ".png", ".tif", ".avif", "")


def make_case(number, random_seed, files):
    """Return the kind, the description and the content of a case, and the worker's options.

    They depend on its number and the random seed only.
    """
    rng = np.random.default_rng((random_seed, number))
    name = sorted(files)[number % len(files)]
    content, done = files[name], "whole"
    if rng.random() > UNCHANGED:
        content, done = mutate(content, rng, list(files.values()))
    return name, done, content, {"call": pick(rng, CALLS)}, pick(rng, SUFFIXES)


def cases(numbers, random_seed, folder):
    """Yield all cases."""
    files = seeds()
    for number in numbers:
        name, done, content, options, suffix = make_case(number, random_seed, files)
        path = Path(folder) / f"case{suffix}"
        path.write_bytes(content)
        yield number, name, f"{options['call']}: {done}", path, options
        path.unlink()


def run(numbers, random_seed=0):
    """Run cases, and return their `harness.Summary`."""
    with tempfile.TemporaryDirectory() as folder:
        return harness.run(cases(numbers, random_seed, folder), MODULE, folder, GOOD)


def write(number, random_seed):
    """Write the file of a case, and return what it is."""
    name, done, content, options, suffix = make_case(number, random_seed, seeds())
    path = Path(tempfile.mkdtemp(prefix="fuzz-case-")) / f"case{suffix}"
    path.write_bytes(content)
    return path, name, done, options


if __name__ == "__main__":
    harness.main(__doc__, run, write)
