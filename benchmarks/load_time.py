"""What do the checks of a weight file cost when it is loaded?

`load_weights` on the file of size L takes turns with plain code that reads every array and assigns
it, the least that a reader can do.

    KERAS_BACKEND=torch python benchmarks/load_time.py
"""

import tempfile
import tracemalloc
from pathlib import Path

import h5py
from harness.arguments import benchmark_parser
from harness.turns import median_ratio, median_seconds, time_functions

from cspdarknet import load_model
from cspdarknet.checkpoints import load_weights
from cspdarknet.checkpoints.readers.keras3 import keras_layout


def main() -> None:
    rounds = benchmark_parser(__doc__, rounds=7, out=False).parse_args().rounds
    model = load_model("csp_darknet_l")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        model.save_weights(path)

        def read_and_assign() -> None:
            targets = keras_layout(model)
            with h5py.File(path) as file:
                arrays = {name: file[name][()] for name in targets}
            for name, target in targets.items():
                target.variable.assign(arrays[name])

        def load() -> None:
            load_weights(model, path)

        times = time_functions({"plain": read_and_assign, "ours": load}, rounds)
        tracemalloc.start()
        load()
        peak = tracemalloc.get_traced_memory()[1]
        file_size = path.stat().st_size
    plain, ours = (median_seconds(times[name]) for name in ("plain", "ours"))
    ratio = median_ratio(times["ours"], times["plain"])
    print(f"read and assign {plain:.3f} s, load_weights {ours:.3f} s, ratio {ratio:.2f}")
    print(f"file {file_size / 1e6:.0f} MB, peak memory beside the model {peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
