"""How long does the first `cspdarknet detect` of a bundled preset take, and each one after it?

Cold is a new user's first command: the cache of graphs is empty. Warm is any later one. Each run is
a process of its own. With `--checkout`, another checkout of the package takes turns with this one.
The time of the processor is that of all threads, which other processes of the machine lengthen less
than the wall time. A first round, which fills the file cache, is not counted.

    python benchmarks/first_detect.py
    python benchmarks/first_detect.py --checkout ../before --rounds 5
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from harness.arguments import benchmark_parser
from harness.results import Row, write_results
from harness.turns import Times, median_ratio, median_seconds, take_turns
from harness.workers import ROOT
from PIL import Image

PRESET = "yolox_nano_bccd"
COUNT_MODULES = "; print(len(sys.modules))"
COMMAND = "import sys; from cspdarknet.cli import app; app(standalone_mode=False)"


class Command:
    """`cspdarknet detect` of one checkout, with a folder of Keras of its own.

    Args:
        checkout: folder of the checkout.
        home: the folder of Keras.
        image: the image.
        is_cold: whether to empty the folder before each run.
    """

    def __init__(self, checkout: Path, home: Path, image: Path, is_cold: bool) -> None:
        self.home, self.image, self.is_cold = home, image, is_cold
        variables = {"PYTHONPATH": str(checkout / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.environment = {**os.environ, **variables}
        self.environment.pop("CSPDARKNET_GRAPH_CACHE", None)
        self.processor_seconds: list[float] = []

    def run(self, code: str = COMMAND) -> tuple[float, str]:
        """Return the wall time of one run and its output."""
        if self.is_cold:
            self.home = Path(tempfile.mkdtemp(dir=self.home.parent))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, "detect", PRESET, str(self.image)],
            env={**self.environment, "KERAS_HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stderr)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.processor_seconds.append(used)
        return seconds, done.stdout

    def turn(self) -> list[float]:
        """Return the wall time of one run."""
        return [self.run()[0]]

    def count_modules(self) -> int:
        """Return the number of imported modules at the end of a run."""
        return int(self.run(COMMAND + COUNT_MODULES)[1].split()[-1])


def table(
    commands: Mapping[str, Command], modules: Mapping[str, int], times: Times, base: str
) -> list[Row]:
    """Return a row for each command, with the ratio of the wall times to those of `base`."""
    return [
        {
            "command": name,
            "seconds": round(median_seconds(rounds), 2),
            "fastest": round(min(map(min, rounds)), 2),
            "processor seconds": round(statistics.median(commands[name].processor_seconds), 2),
            f"time / {base}": round(median_ratio(rounds, times[base]), 2),
            "modules": modules[name],
        }
        for name, rounds in times.items()
    ]


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--checkout", type=Path, help="another checkout to compare with")
    options = parser.parse_args()
    checkouts = {"this": ROOT}
    if options.checkout is not None:
        checkouts = {"other": options.checkout.resolve(), **checkouts}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        image = folder / "image.jpg"
        Image.effect_noise((640, 480), 64).convert("RGB").save(image)
        commands = {}
        for name, checkout in checkouts.items():
            for state in ("cold", "warm"):
                home = folder / f"{name}-{state}"
                home.mkdir()
                commands[f"{name}, {state}"] = Command(checkout, home, image, state == "cold")
        modules = {name: command.count_modules() for name, command in commands.items()}
        # The first of the warm runs, which fills the cache, was cold.
        modules |= {n: c.count_modules() for n, c in commands.items() if not c.is_cold}
        for command in commands.values():
            command.processor_seconds.clear()
        turns = {name: command.turn for name, command in commands.items()}
        *_, times = take_turns(turns, options.rounds)
    rows = table(commands, modules, times, next(iter(times)))
    text = f"Seconds of `cspdarknet detect {PRESET}` on one image: medians of {options.rounds}."
    write_results(options.out, "first_detect", text, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
