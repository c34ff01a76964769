"""How fast do photos on disk become features?

JPEG files of 640 x 480 go to the features of size tiny at 224 x 224. `Predictor.stream` against a
loop that opens a photo with Pillow, resizes it and calls KerasCV, one photo at a time: by
`model.predict` as most would write it, by `model(x)`, and by a compiled `tf.function`. A turn is a
pass through all the photos, each contestant in a process of its own.

    python benchmarks/photos_to_features.py
    python benchmarks/photos_to_features.py --folder my_photos --rounds 5
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness.results import RESULTS, Row, new_figure, save_figure, write_csv, write_table
from harness.workers import (
    ROOT,
    Times,
    Worker,
    ending,
    kerascv_python,
    limit_threads,
    median_ratio,
    medians,
    serve,
    take_turns,
)
from PIL import Image, ImageFilter

PIXELS = 224


def make_photos(folder: Path, count: int) -> None:
    """Write photos with detail at all scales, as large as files of a camera at quality 90."""
    rng = np.random.default_rng(0)
    for i in range(count):
        photo = np.zeros((480, 640, 3))
        for scale in (1, 2, 4, 8, 16, 32, 64):
            shape = (480 // scale + 1, 640 // scale + 1, 3)
            noise = Image.fromarray(rng.integers(0, 255, shape, "uint8"))
            wide = noise.resize((640, 480), Image.Resampling.BICUBIC)
            photo += scale**0.7 * (np.asarray(wide, "float32") - 127)
        photo = 127 + 55 * photo / photo.std()
        image = Image.fromarray(photo.clip(0, 255).astype("uint8"))
        image.filter(ImageFilter.GaussianBlur(0.7)).save(folder / f"{i:04}.jpg", quality=90)


# The contestants; each goes through all the photos.


def ours(paths: list[Path], model: str, runtime: str, threads: int) -> Callable[[], None]:
    """`Predictor.stream` on an exported file."""
    from cspdarknet.inference import Predictor

    predictor = Predictor(
        model, runtime=runtime, mode="throughput", image_size=PIXELS, threads=threads
    )

    def run() -> None:
        results = [result for _, result in predictor.stream(paths)]
        assert len(results) == len(paths)

    return run


def kerascv(paths: list[Path], way: str) -> Callable[[], None]:
    """A loop with Pillow and KerasCV."""
    import tensorflow as tf
    from keras_cv.models import CSPDarkNetBackbone

    model = CSPDarkNetBackbone(
        stackwise_channels=[48, 96, 192, 384], stackwise_depth=[1, 3, 3, 1], include_rescaling=True
    )
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=way == "jit_compile")
    calls: dict[str, Callable[[np.ndarray], Any]] = {
        "predict": lambda x: model.predict(x, verbose=0),
        "model(x)": lambda x: model(x, training=False).numpy(),
        "tf.function": lambda x: compiled(x).numpy(),
        "jit_compile": lambda x: compiled(x).numpy(),
    }

    def run() -> None:
        for path in paths:
            with Image.open(path) as photo:
                small = photo.convert("RGB").resize((PIXELS, PIXELS))
            calls[way](np.asarray(small, "float32")[None])

    return run


def contestants(options: argparse.Namespace) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """Yield name, interpreter and arguments of each."""
    for runtime in ("openvino", "onnxruntime"):
        yield f"ours, {runtime}", Path(sys.executable), {"runtime": runtime}
    peer = kerascv_python(options.peer_venv)
    for way in ("predict", "model(x)", "tf.function", "jit_compile"):
        yield f"KerasCV, {way}", peer, {"way": way}


def work(arguments: dict[str, Any]) -> None:
    """Be a contestant."""
    paths = sorted(Path(arguments["folder"]).rglob("*.jpg"))
    if way := arguments.get("way"):
        serve(kerascv(paths, way))
    else:
        serve(ours(paths, arguments["model"], arguments["runtime"], arguments["threads"]))


# The driver.


def rows_of(times: Times, count: int) -> list[Row]:
    return [
        {
            "contestant": name,
            "photos/s": round(count / statistics.median(medians(turns)), 1),
            "ms per photo": round(1e3 * statistics.median(medians(turns)) / count, 1),
            **{
                f"× {base}": round(median_ratio(times[base], turns), 2)
                for base in times
                if base.startswith("KerasCV")
            },
        }
        for name, turns in times.items()
    ]


def write(rows: list[Row], count: int, options: argparse.Namespace) -> None:
    out = options.out
    write_csv(out / "photos_to_features.csv", rows)
    text = (
        f"{count} JPEG files from disk to the features of size tiny at {PIXELS}², on "
        f"{options.threads} threads: medians of {options.rounds} passes in turns. × is the median "
        "of the rounds' ratios."
    )
    write_table(out / "photos_to_features.md", text, rows)
    figure, axes = new_figure(size=(7, 1 + 0.35 * len(rows)))
    bars = axes[0, 0].barh([r["contestant"] for r in rows], [r["photos/s"] for r in rows])
    axes[0, 0].bar_label(bars, padding=3)
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_xlabel("photos per second")
    save_figure(figure, out / "photos_to_features.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=200, help="how many to make")
    parser.add_argument("--folder", type=Path, help="JPEG files of your own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peer-venv", type=Path, default=ROOT / ".venv-kerascv")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of the process that exports
    from cspdarknet.export import export
    from cspdarknet.models import CSPDarkNetBackbone

    with tempfile.TemporaryDirectory() as temporary, ending() as workers:
        model = Path(temporary) / "tiny.onnx"
        export(CSPDarkNetBackbone.from_preset("csp_darknet_tiny"), model, inputs="uint8")
        folder = options.folder
        if folder is None:
            folder = Path(temporary) / "photos"
            folder.mkdir()
            make_photos(folder, options.photos)
        count = len(list(folder.rglob("*.jpg")))
        given = {"folder": str(folder), "model": str(model), "threads": options.threads}
        environment = {"KERAS_BACKEND": "tensorflow", **limit_threads(options.threads)}
        for name, python, arguments in contestants(options):
            command = [python, __file__, "--worker", json.dumps({**given, **arguments})]
            workers[name] = Worker(command, environment)
            print(f"{name}: ready", flush=True)
        for times in take_turns(workers, options.rounds, seconds=0):
            rows = rows_of(times, count)
            write(rows, count, options)
    for row in rows:
        print(row)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(json.loads(sys.argv[2]))
    else:
        main()
