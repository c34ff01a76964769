"""What do the checks of a weight file cost? Loading L against reading its file and assigning it.

KERAS_BACKEND=torch python benchmarks/load_time.py
"""

import argparse
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py

from cspdarknet.checkpoints import load_weights
from cspdarknet.checkpoints.readers.keras3 import keras_layout
from cspdarknet.models import CSPDarkNetBackbone


def seconds(run: Callable[[], None]) -> float:
    """Time one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    model = CSPDarkNetBackbone.from_preset("csp_darknet_l")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        model.save_weights(path)

        def plain() -> None:
            """Read every array, then assign it: the least that any reader does."""
            targets = keras_layout(model)
            with h5py.File(path) as file:
                arrays = {name: file[name][()] for name in targets}
            for name, target in targets.items():
                target.variable.assign(arrays[name])

        def ours() -> None:
            load_weights(model, path)

        for warm_up in (ours, plain):
            warm_up()
        pairs = [(seconds(plain), seconds(ours)) for _ in range(rounds)]
        tracemalloc.start()
        ours()
        peak = tracemalloc.get_traced_memory()[1]
        size = path.stat().st_size
    base, checked = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"read and assign {base:.3f} s, load_weights {checked:.3f} s, ratio {ratio:.2f}")
    print(f"file {size / 1e6:.0f} MB, peak of arrays on top of the model {peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
