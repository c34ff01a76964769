"""Is a bulk job on Ray as fast as `Predictor.stream` on one machine?

JPEG files of 640 x 480 become the features of size tiny at 224 x 224. `Predictor.stream` takes
turns with `run_on_ray`, which also writes the results as Parquet files. A turn is a pass over all
images. The workers of Ray start in each pass, which takes as long for a billion images: the rate of
a job is also given from its first finished part on.

    python benchmarks/ray_throughput.py
    python benchmarks/ray_throughput.py --images 8000 --rounds 5
"""

import os
import tempfile
import time
from argparse import Namespace
from pathlib import Path

from harness.arguments import benchmark_parser
from harness.images import write_photographs
from harness.results import Row, write_results
from harness.turns import Times, Turn, median_ratio, median_seconds, take_turns

IMAGE_SIZE = 224
STREAM, RAY, STARTED = "Predictor.stream", "Ray", "Ray, from its first part on"


def stream_turn(model: Path, folder: Path, threads: int) -> Turn:
    """Return a pass of `Predictor.stream`."""
    from cspdarknet import Predictor

    predictor = Predictor(
        model, mode="throughput", image_size=IMAGE_SIZE, threads=threads, workers=max(2, threads)
    )
    paths = sorted(folder.rglob("*.jpg"))

    def turn() -> list[float]:
        start = time.perf_counter()
        assert sum(1 for _ in predictor.stream(paths)) == len(paths)
        return [time.perf_counter() - start]

    return turn


def ray_turn(model: Path, folder: Path, options: Namespace, started: list[float]) -> Turn:
    """Return a pass of a job, which appends its seconds per image from the first part on."""
    from cspdarknet.scale import BulkJob, run_on_ray

    def turn() -> list[float]:
        with tempfile.TemporaryDirectory() as out:
            job = BulkJob(
                "features",
                model,
                folder,
                Path(out) / "results",
                image_size=IMAGE_SIZE,
                part_size=options.part_size,
            )
            start, first, images = time.perf_counter(), 0.0, 0
            for part in run_on_ray(job, cpus=options.threads):
                images += part.images if first else 0
                first = first or time.perf_counter()
            end = time.perf_counter()
        started.append((end - first) / images)
        return [end - start]

    return turn


def table(times: Times, started: list[float], count: int) -> list[Row]:
    """Return a row for each contestant."""
    per_image = {
        name: [[s / count for s in turn] for turn in rounds] for name, rounds in times.items()
    }
    per_image[STARTED] = [[seconds] for seconds in started]
    return [
        {
            "contestant": name,
            "images/s": round(1 / median_seconds(rounds), 1),
            f"× {STREAM}": round(median_ratio(per_image[STREAM], rounds), 3),
        }
        for name, rounds in per_image.items()
    ]


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3, threads=True)
    parser.add_argument("--images", type=int, default=3000, help="number of images that are made")
    parser.add_argument("--part-size", type=int, default=1000, help="number of images in a part")
    options = parser.parse_args()
    if options.images < 2 * options.part_size:
        parser.error("--images must be at least twice --part-size")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import ray

    from cspdarknet import load_model
    from cspdarknet.export import export

    with tempfile.TemporaryDirectory() as temporary:
        model, folder = Path(temporary) / "tiny.onnx", Path(temporary) / "images"
        export(load_model("csp_darknet_tiny"), model)
        write_photographs(folder, options.images)
        ray.init(num_cpus=options.threads, log_to_driver=False, include_dashboard=False)
        started: list[float] = []
        turns = {
            STREAM: stream_turn(model, folder, options.threads),
            RAY: ray_turn(model, folder, options, started),
        }
        text = (
            f"{options.images} JPEG files of 640 x 480 to the features of size tiny at "
            f"{IMAGE_SIZE}², on {options.threads} threads: medians of {options.rounds} passes in "
            f"turns, after one that is not counted. Parts of {options.part_size} images. × is the "
            "median of the rounds' ratios; above 1, the contestant is faster."
        )
        for times in take_turns(turns, options.rounds, warm_up=1):
            rows = table(times, started[1:], options.images)
            write_results(options.out, "ray_throughput", text, rows)
        ray.shutdown()
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
