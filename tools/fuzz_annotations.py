"""Read mutated annotation files of every format, and see that nothing but a ValueError is raised.

`python tools/fuzz_annotations.py --cases 20000 --seed 0` prints a table, and exits with status 1 if
a case ends in another error, takes longer than its limit, or needs more memory. `--only NUMBER`
repeats one case, and keeps its files.
"""

import argparse
import contextlib
import importlib
import inspect
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]
mutations: Any = importlib.import_module("mutations")
annotation_files: Any = importlib.import_module("annotation_files")

from cspdarknet.data import read_dataset  # noqa: E402
from cspdarknet.data.classification.find import load_classification_dataset  # noqa: E402
from cspdarknet.data.detection.find import load_detection_dataset  # noqa: E402
from cspdarknet.data.formats import FORMATS  # noqa: E402
from cspdarknet.data.regression.find import load_regression_dataset  # noqa: E402
from cspdarknet.data.writers import convert_dataset, pack_dataset  # noqa: E402

SECONDS = 5.0  # of processor time for one case; it is stopped after four times as many
MEGABYTES = 400  # by which the memory may grow in one case
IMAGES = (".jpg", ".png")
BATCH = 250
Outcome = tuple[str, str]


class Seed(NamedTuple):
    """A small valid dataset: its format and task, and its files by name."""

    name: str
    format: str
    task: str
    files: dict[str, bytes]


class Case(NamedTuple):
    """The result of a case: its number, the seed, what was done, how it ended, and details."""

    number: int
    seed: str
    mutation: str
    outcome: str
    detail: str = ""


# Valid datasets.


def _write_class_folders(folder: Path, splits: dict[str, list[str]]) -> None:
    for split in splits:
        for label in ("cat", "dog"):
            for i in range(2):
                annotation_files.write_image(folder / split / label / f"{i}.png")


def _write_table(folder: Path, splits: dict[str, list[str]]) -> None:
    rows = ["path,label,split"]
    for i in range(8):
        annotation_files.write_image(folder / f"images/{i}.png")
        rows.append(f"images/{i}.png,{'cat' if i % 2 else 'dog'},{list(splits)[i // 4]}")
    (folder / "labels.csv").write_text("\n".join(rows))


def _write_one_hot(folder: Path, splits: dict[str, list[str]]) -> None:
    for split in splits:
        rows = ["filename, cat, dog"]
        for i in range(4):
            annotation_files.write_image(folder / split / f"{i}.jpg")
            rows.append(f"{i}.jpg, {i % 2}, {1 - i % 2}")
        (folder / split / "_classes.csv").write_text("\n".join(rows))


def _write_numbers(folder: Path, splits: dict[str, list[str]]) -> None:
    rows = ["path,age,weight,split"]
    for i in range(8):
        annotation_files.write_image(folder / f"images/{i}.png")
        rows.append(f"images/{i}.png,{i},{i / 4},{list(splits)[i // 4]}")
    (folder / "numbers.csv").write_text("\n".join(rows))


def _write_packed_numbers(folder: Path, splits: dict[str, list[str]]) -> None:
    with tempfile.TemporaryDirectory() as source:
        _write_numbers(Path(source), splits)
        pack_dataset(source, folder, task="regression")


def _writers() -> Iterator[Callable[[Path, dict[str, list[str]]], Any]]:
    yield from (_write_class_folders, _write_table, _write_one_hot)
    yield from (_write_numbers, _write_packed_numbers)
    for name, function in vars(annotation_files).items():
        if not name.startswith("write_"):
            continue
        if list(inspect.signature(function).parameters) == ["folder", "splits"]:
            yield function


def seeds() -> list[Seed]:
    """Return valid datasets of all formats."""
    found = []
    for write in _writers():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, {"train": ["a", "c"], "val": ["b"]})
            annotations = read_dataset(folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
            format = annotations.format.partition(":")[0]
            seed_name = write.__name__.strip("_").removeprefix("write_")
            found.append(Seed(seed_name, format, annotations.task, files))
    if missing := {format.name for format in FORMATS} - {seed.format for seed in found}:
        raise ValueError(f"There must be a dataset of every format. Missing: {missing}")
    return found


# Mutations of files and folders.


def _odd_name(rng: np.random.Generator) -> str:
    names = ["a" * 250, "..a", "a\nb", "é", "-", " ", "a:b", "a\\b", "%", "~", "Data.YAML", "a.b.c"]
    names += ["\udcff", "classes.txt", "labels.txt", "a.json", "a.xml", "a.csv", "data.yaml", "CON"]
    return str(names[int(rng.integers(len(names)))])


def _remove(path: Path) -> Path:
    """Remove a file or folder, and return its path."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return path


def _enlarge(path: Path) -> None:
    """Let an annotation file end in 3 GB of null bytes, which take no space."""
    if path.suffix not in IMAGES:
        os.truncate(path, 3_000_000_000)


def change_folder(folder: Path, rng: np.random.Generator) -> str:
    """Rename, remove, copy or link a file or folder, and return what was done."""
    paths = sorted(path for path in folder.rglob("*") if path != folder)
    if not paths:
        return "nothing"
    path, other = (paths[int(i)] for i in rng.integers(0, len(paths), 2))
    target = path.parent / _odd_name(rng)
    actions: dict[str, Any] = {
        "rename": lambda: path.rename(target),
        "remove": lambda: _remove(path),
        "copy": lambda: target.write_bytes(other.read_bytes()),
        "overwrite": lambda: path.write_bytes(other.read_bytes()),
        "folder": lambda: _remove(path).mkdir(),
        "link to itself": lambda: _remove(path).symlink_to(path.name),
        "link to the root": lambda: target.symlink_to(folder),
        "link to a file": lambda: _remove(path).symlink_to(other),
        "link to nothing": lambda: _remove(path).symlink_to("nothing"),
        "link to /dev/zero": lambda: _remove(path).symlink_to("/dev/zero"),
        "pipe": lambda: os.mkfifo(_remove(path)),
        "no permission": lambda: path.chmod(0),
        "large file": lambda: _enlarge(path),
        "upper case": lambda: path.rename(path.with_name(path.name.upper())),
        "empty": lambda: path.write_bytes(b""),
    }
    name = list(actions)[int(rng.integers(len(actions)))]
    with contextlib.suppress(OSError):
        actions[name]()
    return f"{name} {path.relative_to(folder).as_posix()!r}"


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# Cases.


def _use(folder: Path, seed: Seed, rng: np.random.Generator) -> str:
    """Read a dataset in one of several ways, and return how it ended."""
    source: Path = folder
    format = seed.format if rng.random() < 0.2 else None
    if rng.random() < 0.2:
        files = sorted(name for name in seed.files if not name.endswith(IMAGES))
        source = folder / files[int(rng.integers(len(files)))] if files else folder
    loaders = {"classification": load_classification_dataset, "regression": load_regression_dataset}
    load: Any = loaders.get(seed.task, load_detection_dataset)
    is_multi = seed.task == "classification" and rng.random() < 0.3
    labels = {"labels": "multi"} if is_multi else {}
    on_problem = "raise" if rng.random() < 0.2 else "fix"
    try:
        if rng.random() < 0.15:
            to = ("coco", "voc", "yolo")[int(rng.integers(3))]
            to = (
                "multi-label"
                if is_multi
                else {"detection": to, "regression": "numbers"}.get(seed.task, "folder")
            )
            written = folder.parent / "written"
            options: dict[str, Any] = {"on_problem": "fix", **labels}
            problems = convert_dataset(source, written, to, format=format, **options).problems
        else:
            options = {"on_problem": on_problem, **labels}
            problems = load(source, 0.5, format=format, **options).problems
    except ValueError:
        return "ValueError"
    return "problems" if any(problem.stops for problem in problems) else "dataset"


class Stopped(BaseException):
    """A case that took too long; no handler of errors catches it."""


def _stop(*_: object) -> None:
    raise Stopped


def run_case(index: int, random_seed: int, all_seeds: list[Seed], keep: bool = False) -> Case:
    """Run one case, which depends on the random seed and its number only."""
    rng = np.random.default_rng((random_seed, index))
    seed = all_seeds[index % len(all_seeds)]
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder = place / "dataset"
    folder.mkdir()
    files = dict(seed.files)
    mutation = mutations.mutate(files, rng) if rng.random() < 0.85 else "none"
    _write(folder, files)
    if mutation in ("none", "") or rng.random() < 0.1:
        mutation += f"; {change_folder(folder, rng)}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    outcome, detail = "", ""
    signal.setitimer(signal.ITIMER_REAL, 4 * SECONDS)
    try:
        outcome = _use(folder, seed, rng)
    except BaseException as error:
        outcome, detail = type(error).__name__, traceback.format_exc()[-1500:]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not keep:
            shutil.rmtree(place, ignore_errors=True)
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    if outcome in GOOD and seconds > SECONDS:
        outcome, detail = "slow", f"{seconds:.1f} s"
    if outcome in GOOD and grown > MEGABYTES:
        outcome, detail = "large", f"{grown} MB"
    return Case(index, seed.name, mutation, outcome, detail + (f"\n{place}" if keep else ""))


GOOD = ("dataset", "problems", "ValueError")


def run_batch(first: int, last: int, random_seed: int, all_seeds: list[Seed]) -> list[Case]:
    """Run some cases in a process of their own."""
    signal.signal(signal.SIGALRM, _stop)
    return [run_case(index, random_seed, all_seeds) for index in range(first, last)]


def run(cases: int, random_seed: int, workers: int) -> Iterator[Case]:
    """Run cases in several processes, each of which has a bounded memory."""
    all_seeds = seeds()
    ranges = [(first, min(first + BATCH, cases)) for first in range(0, cases, BATCH)]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, context, _limit_memory) as pool:
        futures = [pool.submit(run_batch, *ends, random_seed, all_seeds) for ends in ranges]
        for future in futures:
            yield from future.result()


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2_000_000_000, resource.RLIM_INFINITY))


def print_table(results: list[Case]) -> None:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for case in results:
        table[case.seed][case.outcome if case.outcome in GOOD else "FAILED"] += 1
    columns = [*GOOD, "FAILED"]
    print(f"{'files':24}" + "".join(f"{column:>12}" for column in columns))
    for name, counts in [*table.items(), ("all", sum(table.values(), Counter()))]:
        print(f"{name:24}" + "".join(f"{counts[column]:>12}" for column in columns))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", type=int, help="number of the case to repeat")
    arguments = parser.parse_args()
    if arguments.only is not None:
        signal.signal(signal.SIGALRM, _stop)
        print(*run_case(arguments.only, arguments.seed, seeds(), keep=True), sep="\n")
        sys.exit()
    results = list(run(arguments.cases, arguments.seed, arguments.workers))
    failed = [case for case in results if case.outcome not in GOOD]
    for case in failed[:30]:
        print(f"case {case.number} ({case.seed}): {case.mutation[:200]}\n{case.detail}\n")
    print_table(results)
    sys.exit(bool(failed))
