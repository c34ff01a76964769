"""The fuzzer of image files: damaged and hostile files of every format, read in a worker process.

    python tests/fuzz/images.py --cases 20000

prints how the cases ended, and fails if one was neither read nor refused with a line that names
the file. `--only NUMBER` repeats a case and keeps its file.
"""

import argparse
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


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the case to repeat")
    arguments = parser.parse_args()
    if arguments.only is not None:
        name, done, content, options, suffix = make_case(arguments.only, arguments.seed, seeds())
        path = Path(tempfile.mkdtemp(prefix="fuzz-case-")) / f"case{suffix}"
        path.write_bytes(content)
        print(path, name, done, options)
        arguments.first, arguments.cases = arguments.only, 1
    summary = run(range(arguments.first, arguments.first + arguments.cases), arguments.seed)
    print(summary)
    sys.exit(bool(summary.failures))


if __name__ == "__main__":
    main()
