"""How long does the check of a dataset take, and how much memory?

JPEG files of 640 x 480 pixels with boxes in the COCO format are made in a temporary folder, some of
them as resized copies of others. Each tool checks them in a new process (Linux): this package
without and with a cache, Datumaro (import of the annotations and statistics of the boxes; images
are not decoded), and CleanVision (images only: near-duplicates, sizes, brightness and so on).
Datumaro and CleanVision are installed into a virtual environment on first use.

    python benchmarks/data_check.py
    python benchmarks/data_check.py --images 1000 --rounds 1
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness.arguments import benchmark_parser
from harness.images import HEIGHT, WIDTH, photograph
from harness.results import Row, write_results
from harness.workers import (
    DATA_TOOLS_PACKAGES,
    ROOT,
    Work,
    data_tools_python,
    run_script,
    start_worker,
)
from PIL import Image

SPLITS = {"train": 0.8, "val": 0.2}
PHOTOGRAPHS = 64  # different ones; the others are crops of them
BOXES, CLASSES = 8, 10
COPIES = 50  # every image with a number that is divisible by this has a resized copy
FIRST, SECOND = "ours, first run", "ours, second run"
DATUMARO, CLEANVISION = "datumaro, annotations only", "cleanvision, images only"


def work(tool: str, folder: str, cache: str) -> Work:
    """Check the dataset once; nothing else is timed."""
    run = {"ours": ours, "datumaro": datumaro, "cleanvision": cleanvision}[tool]
    start = time.perf_counter()
    found = run(Path(folder), cache)
    facts = {"check_seconds": time.perf_counter() - start, "found": found}
    return lambda: None, facts


def ours(folder: Path, cache: str) -> str:
    """Check a dataset with this package."""
    from cspdarknet.data import check_dataset

    check = check_dataset(folder, cache=cache)
    return f"{len(check.duplicates)} groups of duplicates"


def datumaro(folder: Path, _: str) -> str:
    """Read the annotations with Datumaro, and compute the statistics of its validator."""
    from datumaro import Dataset  # type: ignore[import-not-found]
    from datumaro.plugins.validators import (  # type: ignore[import-not-found]
        DetectionValidator,
    )

    dataset = Dataset.import_from(str(folder), "coco")
    validator = DetectionValidator(
        few_samples_thr=10,
        imbalance_ratio_thr=10,
        far_from_mean_thr=5.0,
        dominance_ratio_thr=0.8,
        topk_bins=0.1,
    )
    report = validator.validate(dataset)
    return f"{report['summary']['warnings']} warnings"


def cleanvision(folder: Path, _: str) -> str:
    """Look for problems of the images with CleanVision."""
    from cleanvision import Imagelab  # type: ignore[import-not-found]

    lab = Imagelab(data_path=str(folder))
    lab.find_issues(verbose=False)
    return f"{len(lab.info['near_duplicates']['sets'])} sets of near-duplicates"


def write_dataset(folder: Path, count: int) -> None:
    """Write the images and their boxes in the COCO format."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(photograph(rng)) for _ in range(PHOTOGRAPHS)]
    start = 0
    for split, fraction in SPLITS.items():
        end = start + round(count * fraction)
        images: list[dict[str, Any]] = []
        boxes: list[dict[str, Any]] = []
        (folder / "images" / split).mkdir(parents=True)
        for number in range(start, end):
            name = f"{number:06}.jpg"
            picture = _picture(photographs, number)
            picture.save(folder / "images" / split / name, quality=85)
            size = {"width": picture.width, "height": picture.height}
            images.append({"id": number + 1, "file_name": name, **size})
            boxes += _boxes(number, picture.size, len(boxes))
        content = {
            "images": images,
            "annotations": boxes,
            "categories": [{"id": i + 1, "name": f"class{i}"} for i in range(CLASSES)],
        }
        path = folder / f"annotations/instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        start = end


def _picture(photographs: list[Image.Image], number: int) -> Image.Image:
    """Return a crop of a photograph, or a resized copy of the image before."""
    is_copy = number % COPIES == 1
    rng = np.random.default_rng(number - is_copy)
    base = photographs[int(rng.integers(len(photographs)))]
    side = rng.uniform(0.4, 0.9)
    left, top = (float(rng.uniform(0, (1 - side) * length)) for length in base.size)
    box = (left, top, left + side * WIDTH, top + side * HEIGHT)
    size = (WIDTH * 3 // 4, HEIGHT * 3 // 4) if is_copy else (WIDTH, HEIGHT)
    picture = base.resize(size, Image.Resampling.BICUBIC, box=box)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else picture


def _boxes(number: int, size: tuple[int, int], first_id: int) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(number)
    for i in range(int(rng.integers(2 * BOXES))):
        width, height = (float(rng.uniform(4, side / 2)) for side in size)
        x, y = float(rng.uniform(0, size[0] - width)), float(rng.uniform(0, size[1] - height))
        yield {
            "id": first_id + i + 1,
            "image_id": number + 1,
            "category_id": int(rng.integers(CLASSES)) + 1,
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": 0,
        }


def measure(
    folder: Path, python: Path | None, rounds: int, report: Callable[[list[Row]], None]
) -> None:
    """Measure the tools in turns, and report the rows after each round."""
    results: dict[str, list[dict[str, Any]]] = {}
    for number in range(rounds):
        cache = str(folder.parent / f"cache{number}")
        own = ("ours", Path(sys.executable))
        contestants = {FIRST: own, SECOND: own}
        if python is not None:
            contestants |= {DATUMARO: ("datumaro", python), CLEANVISION: ("cleanvision", python)}
        for name, (tool, interpreter) in contestants.items():
            worker = start_worker(
                __file__, python=interpreter, tool=tool, folder=str(folder), cache=cache
            )
            results.setdefault(name, []).append(worker.facts)
            worker.stop()
        report([_row(name, facts) for name, facts in results.items()])


def _row(name: str, facts: list[dict[str, Any]]) -> Row:
    return {
        "tool": name,
        "seconds": round(median(fact["check_seconds"] for fact in facts), 2),
        "peak memory, MB": round(median(fact["peak_megabytes"] for fact in facts)),
        "found": facts[-1]["found"],
    }


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--images", type=int, default=10_000, help="number of images")
    parser.add_argument(
        "--tools-venv",
        type=Path,
        default=ROOT / ".venv-data-tools",
        help="virtual environment of Datumaro and CleanVision, made on first use",
    )
    parser.add_argument("--ours-only", action="store_true", help="without the other tools")
    options = parser.parse_args()
    python = None if options.ours_only else data_tools_python(options.tools_venv)

    def report(rows: list[Row]) -> None:
        text = (
            f"Seconds and peak memory of the check of {options.images:,} JPEG files of 640 x 480 "
            "pixels with boxes in the COCO format, in new processes that take turns "
            f"(rounds: {options.rounds}, medians), with {' and '.join(DATA_TOOLS_PACKAGES)}. "
            "CleanVision's own worker processes are not in its memory."
        )
        write_results(options.out, "data_check", text, rows)
        print(*rows, sep="\n", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "dataset"
        write_dataset(folder, options.images)
        measure(folder, python, options.rounds, report)


if __name__ == "__main__":
    run_script(main, work)
