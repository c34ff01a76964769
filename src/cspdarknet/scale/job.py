"""`BulkJob`: predictions of any number of images as Parquet files; each input exactly once."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from cspdarknet._arguments import check_choice, check_count
from cspdarknet._extras import require
from cspdarknet._labels import MULTI
from cspdarknet.inference.devices import GPU_DEVICES
from cspdarknet.inference.predictor import Predictor
from cspdarknet.model_info import TASKS, ModelInfo
from cspdarknet.scale.manifest import FILE as MANIFEST
from cspdarknet.scale.manifest import Manifest
from cspdarknet.scale.models import absolute_name, feature_options, weights_sha256
from cspdarknet.scale.part_worker import ERRORS, RESULTS, PartResult, PartWorker, part_file
from cspdarknet.scale.reading import Columns
from cspdarknet.scale.sources import Input, find_inputs
from cspdarknet.scale.storage import EXTRA, PURPOSE, ResultFolder
from cspdarknet.scale.tables import TOP

SETTINGS = "job.json"
PART_SIZE = 1000
READERS = 16  # threads that read the number of rows of files


class BulkJob:
    """A job that writes the predictions of images to Parquet files, part by part.

    The inputs are cut into numbered parts, which a manifest in the output folder fixes. A part is
    written whole, as `results/part-000000.parquet` and, if images cannot be used,
    `errors/part-000000.parquet`; a part that is there is not done again. The same job may therefore
    be run again after any interruption, and its result has each image once. Images that are new in
    the sources by then are added as further parts.

    Args:
        task: `"features"`, `"classification"`, `"detection"` or `"regression"`.
        model: the name or path of a model, as in `Predictor`, with weights.
        sources: paths or URLs of images, of shards (Parquet files or WebDataset tars), of `.txt`
            files that list them, or of folders of them.
        out: folder of the results: a path or URL. All machines must see it, and the sources.
        part_size: number of image files in a part. A shard is one part.
        levels: features: pyramid levels, whose feature maps are kept; `None` keeps only `vector`,
            the spatial mean of the deepest level.
        longer_side: features: maximum length of an image's longer side in pixels; 0 keeps the size.
            `None` is 640, or the center crop of a model with a fixed image size.
        top: classifiers: number of the most probable classes to keep; `None` for 3, and for all
            classes of a multi-label classifier that reach their score thresholds.
        image_column: column of the bytes of image files in Parquet files; `None` for a usual name.
        key_column: column of the names of images in Parquet files; `None` for a usual name, or the
            path of the file and the number of the row.
        options: the other arguments of `Predictor`.

    Attributes:
        out: the folder, as an absolute path or a full URL.

    Raises:
        ValueError: if an argument is not of the form above, or a source does not exist or holds no
            image.
        ImportError: if a package is missing.

    Example:
        >>> Path("images").mkdir()
        >>> Image.new("RGB", (64, 48), "navy").save("images/sea.png")
        >>> job = BulkJob("classification", "csp_darknet_tiny_clothing", "images", "results")
        >>> for part in job.run():
        ...     print(part)
        PartResult(part=0, images=1, errors=0)
        >>> job.counts()
        (1, 0)
    """

    def __init__(
        self,
        task: str,
        model: str | Path,
        sources: str | Path | Sequence[str | Path],
        out: str | Path,
        *,
        part_size: int = PART_SIZE,
        levels: Sequence[str] | None = None,
        longer_side: int | None = None,
        top: int | None = None,
        image_column: str | None = None,
        key_column: str | None = None,
        **options: Any,
    ) -> None:
        require("pyarrow.parquet", EXTRA, PURPOSE)
        self._task = check_choice("task", task, TASKS)
        self._part_size = check_count("part_size", part_size)
        self._top = None if top is None else check_count("top", top)
        self._maps = levels is not None
        self._columns = Columns(image_column, key_column)
        self._folder = ResultFolder(out)
        self.out = self._folder.url
        self._inputs = _outside(find_inputs(sources), self.out)
        self._model = absolute_name(model)
        self._sha256 = weights_sha256(self._model)
        if task == "features":
            options |= feature_options(self._model, levels, longer_side, options.get("image_size"))
        predictor = Predictor(self._model, **{"mode": "throughput", **options})
        if predictor.info.task != task:
            raise ValueError(
                f"A job for {task} needs a model for it. Received: {model}, a model for "
                f"{predictor.info.task}."
            )
        self._options = {"mode": "throughput", **options, "runtime": predictor.runtime}
        self._info = predictor.info
        if top is None and self._info.labels != MULTI:
            self._top = TOP

    def claimed(self) -> AbstractContextManager[None]:
        """Keep other jobs out of a local folder inside this context.

        Raises:
            ValueError: if another process has claimed the folder.
        """
        return self._folder.claimed()

    def start(self) -> list[int]:
        """Write the settings and the manifest, and return the numbers of the unfinished parts.

        Raises:
            ValueError: if the folder holds the results of other settings or weights, or of another
                image of the same key.
        """
        self._check_settings()
        manifest = Manifest(self._folder)
        manifest.extend(self._inputs, self._part_size)
        done = self._folder.names(RESULTS)
        return [part for part in range(len(manifest)) if part_file(part) not in done]

    def worker(self, threads: int | None = None) -> PartWorker:
        """Return a worker that does parts, in this process.

        Args:
            threads: number of threads that run the model, and that read images; `None` for all.
        """
        return PartWorker(**self.worker_arguments(threads))

    def worker_arguments(self, threads: int | None) -> dict[str, Any]:
        """Return the arguments of the `PartWorker` of a process, which can be pickled."""
        options = self._options
        if threads is not None:
            options = {"threads": threads, "workers": max(2, threads), **options}
        return {
            "out": self.out,
            "model": self._model,
            "sha256": self._sha256,
            "columns": self._columns,
            "options": {"maps": self._maps, "top": self._top, **options},
        }

    def run(self) -> Iterator[PartResult]:
        """Do the unfinished parts in this process, and yield the outcome of each."""
        with self.claimed():
            parts = self.start()
            worker = self.worker() if parts else None
            for part in parts:
                assert worker is not None
                yield worker.run(part)

    def counts(self) -> tuple[int, int]:
        """Return the number of images with results, and that of images without, of all parts."""
        return self._count(RESULTS), self._count(ERRORS)

    def _count(self, table: str) -> int:
        names = [f"{table}/{name}" for name in self._folder.names(table)]
        with ThreadPoolExecutor(READERS) as pool:
            return sum(pool.map(self._num_rows, names))

    def _num_rows(self, name: str) -> int:
        parquet: Any = require("pyarrow.parquet", EXTRA, PURPOSE)
        if not name.endswith(".parquet"):  # an interrupted upload
            return 0
        try:
            with self._folder.open(name) as file:
                return int(parquet.read_metadata(file).num_rows)
        except ValueError as error:
            raise ValueError(
                f"{self.out}/{name} is damaged ({error}): remove it, and run the same job again."
            ) from error

    @property
    def uses_gpu(self) -> bool:
        """Whether a worker needs a GPU."""
        return self._options.get("device") in GPU_DEVICES

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """Everything that results depend on, as JSON types."""
        given = {name: value for name, value in self._options.items() if value is not None}
        options = {name: value for name, value in given.items() if name != "device"}
        return {
            "task": self._task,
            "weights_sha256": self._sha256,
            "maps": self._maps,
            **(self._of_classes() if self._task == "classification" else {}),
            **json.loads(json.dumps(options, default=vars)),
        }

    def _of_classes(self) -> dict[str, Any]:
        """Return the settings of a classifier, with those that its weights do not tell.

        `evaluate` stores temperatures and thresholds, which may change between two runs of a job.
        """
        found, usual = (json.loads(x.to_json()) for x in (self._info, ModelInfo("classification")))
        names = ("labels", "crop", "temperature", "score_threshold")
        changed = {name: found[name] for name in names if found.get(name) != usual.get(name)}
        return {"top": self._top, **changed}

    def _stored_settings(self) -> dict[str, Any] | None:
        """Return the settings of an earlier run; `None` for a new folder."""
        if self._folder.exists(SETTINGS):
            try:
                return dict(json.loads(self._folder.read_bytes(SETTINGS)))
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"{self.out}/{SETTINGS} is damaged ({error}): choose another folder."
                ) from error
        tables = (RESULTS, ERRORS)
        if others := [name for name in tables if self._folder.names(name)]:
            raise ValueError(
                f"{self.out} has files in {' and '.join(others)} that are not of a bulk job: "
                "choose another folder."
            )
        return None

    def _check_settings(self) -> None:
        """Write the settings of a new job, or compare them with those of the earlier run."""
        text = json.dumps(self._settings, indent=2) + "\n"
        stored = self._stored_settings()
        if stored is None:
            self._folder.write(SETTINGS, lambda path: path.write_text(text, encoding="utf-8"))
            return
        names = sorted({*stored, *self._settings})
        different = [n for n in names if stored.get(n) != self._settings.get(n)]
        if different:
            changes = ", ".join(
                f"{n} {stored.get(n)!r} → {self._settings.get(n)!r}" for n in different
            )
            raise ValueError(
                f"{self.out} holds the results of other settings: {changes}. Use the same settings "
                "to continue, or choose another folder."
            )


def _outside(inputs: Sequence[Input], out: str) -> list[Input]:
    """Return the inputs without the results of an earlier run.

    Raises:
        ValueError: if the results would be written among the inputs.
    """
    own = tuple(f"{out}/{name}" for name in (f"{RESULTS}/", f"{ERRORS}/", MANIFEST))
    found = [item for item in inputs if not item.path.startswith(own)]
    inside = next((item.path for item in found or inputs if item.path.startswith(f"{out}/")), None)
    if inside is not None:
        raise ValueError(f"{out} holds inputs, such as {inside}: choose another folder.")
    return found
