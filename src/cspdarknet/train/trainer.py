"""The trainer: all steps of a training, from the arguments to the report, for every task."""

import contextlib
import dataclasses
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from cspdarknet._arguments import check_count
from cspdarknet._extras import require
from cspdarknet._image_size import to_text
from cspdarknet.data import Problem, check_images, summary
from cspdarknet.data.disk_cache import DiskCache, disk_cache_folder
from cspdarknet.data.problems import count_of
from cspdarknet.data.sources import source_path
from cspdarknet.presets.channels import stored_channels
from cspdarknet.presets.config import BEST, RUN_SETTINGS
from cspdarknet.reports import TrainingRecord
from cspdarknet.train import distributed
from cspdarknet.train.batch_size import fit_batch_size, same_step
from cspdarknet.train.differences import differences
from cspdarknet.train.display import Display, live_progress
from cspdarknet.train.loggers import check_loggers, open_loggers
from cspdarknet.train.loop import Training, check_trained_layers
from cspdarknet.train.recipe import BaseRecipe
from cspdarknet.train.run_folder import SKIPPED, RunFolder
from cspdarknet.train.tasks import Row, Task
from cspdarknet.train.teacher import LoadedTeacher

PROBLEMS = "problems.csv"
TRANSFER = "transfer.json"  # which weights were loaded into a detector of other levels
PACKAGES = ("cspdarknet", "keras", "numpy", "pillow", "grain")


@dataclass(frozen=True)
class Trainer:
    """Trains a model in a run folder, when `train` is called.

    Attributes:
        task: the task, with its recipe.
        data: the dataset.
        out: the run folder.
        model: the model to start from, as its name or path.
        load_weights: whether its trained weights are loaded; `None` for those that it has.
        validation_split: fraction of the images to validate on, if the dataset has no such split.
        check: whether each image is decoded once before the training.
        workers: number of threads that read images.
        log: trackers of experiments, as of `check_loggers`.
        console: the console that shows the progress.
        auto_batch_size: whether the largest batch is used that fits into memory.
        image_cache: folder of decoded images, or `"disk"`; `None` for no such folder.
    """

    task: Task
    data: Any
    out: str | Path
    model: str | Path
    load_weights: bool | None = None
    validation_split: float = 0.15
    check: bool = True
    workers: int = 2
    log: Sequence[str] = ()
    console: Console = field(default_factory=Console)
    auto_batch_size: bool = False
    image_cache: str | Path | None = None

    def train(self) -> list[Row]:
        """Train, or continue an interrupted training, and return the metrics of each epoch."""
        with distributed.joined():
            if distributed.is_first_process():
                return self._train()
            return dataclasses.replace(self, console=Console(quiet=True))._train()

    def _train(self) -> list[Row]:
        self._check_arguments()
        run, writes = RunFolder(self.out), distributed.is_first_process()
        with run.claimed() if writes else contextlib.nullcontext():
            splits = self.task.load_data(self.data, self.validation_split)
            fitted = self._with_batch_size(run, splits) if self.auto_batch_size else self
            return fitted._train_on(splits, run, writes)

    def _train_on(self, splits: Any, run: RunFolder, writes: bool) -> list[Row]:
        teacher = self._load_teacher(splits.class_names)
        given = None if teacher is None else teacher.settings
        settings = {**self._settings(splits), "teacher": given}
        self._check_settings(settings)
        if writes:
            run.begin(settings)
            run.write_images(splits)
            self._print_summary(splits)
            self._report_problems(run, splits.problems)
        skipped = self._skipped(run, splits)
        training = self._build(run, _without(splits, run, skipped), teacher)
        with open_loggers(self.log if writes else (), run.path, settings) as training.loggers:
            with training.display:
                history = training.fit()
            for reason in training.source.failures.values():
                self._print(f"Skipped while training: {reason}")
            if writes:
                record = TrainingRecord(history, run.read_json(RUN_SETTINGS), skipped)
                self._write_report(run, training, record)
        return history

    def _with_batch_size(self, run: RunFolder, splits: Any) -> "Trainer":
        """Return this trainer with the batch that fits, or that the run to continue began with."""
        recipe = distributed.from_first_process(lambda: self._fitted_recipe(run, splits))
        return dataclasses.replace(self, task=dataclasses.replace(self.task, recipe=recipe))

    def _fitted_recipe(self, run: RunFolder, splits: Any) -> BaseRecipe:
        recipe = self.task.recipe
        if (run.path / RUN_SETTINGS).exists():
            return same_step(recipe, run.read_json(RUN_SETTINGS))
        with self.console.status("finding the batch size"):
            fitted, found = fit_batch_size(
                recipe,
                self.model,
                len(splits.class_names),
                self.load_weights,
                distributed.device_count(),
                len(splits.train),
            )
        self._print(f"{found}")
        return fitted

    def _check_arguments(self) -> None:
        for module, extra in self.task.requirements:
            require(module, extra, f"Training for {self.task.name}")
        check_loggers(self.log)
        check_count("workers", self.workers)
        if self.task.teacher is not None and self.auto_batch_size:
            raise ValueError(
                "An automatic batch size does not count the memory of a teacher. Received: "
                f"{self.task.teacher}: give the batch size as a number, or leave the teacher out."
            )
        data, folders = source_path(self.data), {"run folder": Path(self.out)}
        if self.image_cache is not None:
            folders["image cache"] = disk_cache_folder(self.image_cache)
        for name, folder in folders.items():
            if data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
                raise ValueError(
                    f"The {name} {folder} is inside the dataset {data}: choose another folder."
                )
        distributed.check_batch_size(self.task.recipe.batch_size)

    def _settings(self, splits: Any) -> dict[str, Any]:
        """Return the settings that decide the result of the run, as JSON types."""
        return {
            "task": self.task.name,
            "data": str(source_path(self.data)),
            "model": str(self.model),
            "load_weights": self.load_weights,
            "backend": keras.backend.backend(),
            "class_names": list(splits.class_names),
            "splits": {
                name: {"images": len(dataset), "sha256": dataset.fingerprint}
                for name, dataset in (("train", splits.train), ("validation", splits.validation))
            },
            "recipe": self.task.recipe.to_json(),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        }

    def _check_settings(self, settings: dict[str, Any]) -> None:
        """Check that all processes train with the same settings and data."""
        first = distributed.from_first_process(lambda: settings)
        if different := differences(first, settings):
            raise ValueError(
                "The processes of a training must have the same settings and see the same files. "
                f"Received other ones in process {distributed.process_index_and_count()[0]} than "
                f"in process 0: {different[0]}"
            )

    def _print_summary(self, splits: Any) -> None:
        """Print how the dataset was understood, and what is trained on it."""
        recipe = self.task.recipe
        phases = ", then ".join(
            f"{count_of(phase.epochs, 'epoch')} of {phase.train} at "
            f"{to_text(phase.image_size)} pixels"
            for phase in recipe.phases
        )
        for line in summary(splits):
            self._print(line)
        self._print(
            f"model: {self.model}, in {recipe.precision} by {keras.backend.backend()} on "
            f"{distributed.device_names()}"
        )
        batches = f", gradients of {recipe.accumulate} batches" if recipe.accumulate > 1 else ""
        self._print(f"training: {phases}; batch size {recipe.batch_size}{batches}")

    def _report_problems(self, run: RunFolder, problems: tuple[Problem, ...]) -> None:
        """List the problems of the dataset in a file."""
        if problems:
            run.write_problems(problems, PROBLEMS)
            self._print(f"{count_of(len(problems), 'problem')}: see {run.path / PROBLEMS}")

    def _skipped(self, run: RunFolder, splits: Any) -> list[Problem]:
        """Return the unreadable images; a run that is continued skips the same ones."""
        skipped = distributed.from_first_process(lambda: self._read_or_check(run, splits))
        if skipped:
            self._print(f"{len(skipped)} files cannot be read as images and are skipped:")
        for problem in skipped:
            self._print(f"  {problem}")
        return skipped

    def _read_or_check(self, run: RunFolder, splits: Any) -> list[Problem]:
        skipped = run.read_skipped()
        if skipped is None:
            skipped = self._check_images(splits) if self.check else []
            if distributed.is_first_process():
                run.write_problems(skipped)
        return skipped

    def _check_images(self, splits: Any) -> list[Problem]:
        columns = (TextColumn("checking the images"), BarColumn(), MofNCompleteColumn())
        with live_progress(self.console, *columns) as progress:
            bar = progress.add_task("", total=len(splits.train) + len(splits.validation))
            return [
                problem
                for dataset in (splits.train, splits.validation)
                for problem in check_images(
                    dataset, self.workers, lambda: progress.advance(bar), self._channels
                )[1]
            ]

    @property
    def _channels(self) -> int:
        """Number of channels of the images, which the recipe or the model states."""
        return self.task.recipe.channels or stored_channels(self.model)

    def _load_teacher(self, class_names: tuple[str, ...]) -> LoadedTeacher | None:
        options = self.task.teacher
        if options is None:
            return None
        with self.console.status("loading the teacher"):
            return LoadedTeacher(options, self.task.name, class_names)

    def _build(self, run: RunFolder, splits: Any, teacher: LoadedTeacher | None = None) -> Training:
        """Build the model and all else that the loop needs."""
        task, recipe = self.task.fitted(splits.train), self.task.recipe
        task.check_data(splits.train)
        distributed.distribute()
        _set_seed(recipe.seed)
        model = task.build_model(self.model, self.load_weights, splits.class_names)
        if distributed.is_first_process() and (transfer := getattr(model, "transfer", None)):
            run.write_json(TRANSFER, dataclasses.asdict(transfer))
        if teacher is not None:
            teacher.check_fits(model)
        for phase in recipe.phases:
            check_trained_layers(model, phase.train)
        run.check_space(4 * model.count_params())
        model.backbone.freeze(None)
        with distributed.on_one_device():
            saved_model = task.build_saved_model(model)
        distributed.share_weights(model)
        process = distributed.process_index_and_count()
        return Training(
            task,
            model,
            saved_model,
            task.build_source(
                splits.train, self.workers, process, self._disk_cache(), model.channels
            ),
            splits.validation,
            run,
            Display(
                self.console,
                recipe.epochs,
                task.metrics,
                task.shown_metrics or task.validation_metrics,
            ),
            teacher,
        )

    def _disk_cache(self) -> DiskCache | None:
        """Return the cache of decoded images on disk, if there is to be one."""
        folder = self.image_cache
        return None if folder is None else DiskCache(disk_cache_folder(folder))

    def _write_report(self, run: RunFolder, training: Training, record: TrainingRecord) -> None:
        with self.console.status("writing the report"), distributed.on_one_device():
            title, evaluation = f"Training in {run.path.name}", training.evaluate_best()
            training.task.finish(run.path / BEST, evaluation)
            training.task.write_report(run, evaluation, title, record)
        training.loggers.finish(training.task.validation_row(evaluation))

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, markup=False, highlight=False)


def _without(splits: Any, run: RunFolder, skipped: list[Problem]) -> Any:
    """Return the splits without the images that are skipped."""
    if not skipped:
        return splits
    bad = {problem.path.absolute() for problem in skipped}
    present = {path.absolute() for path in splits.train.paths + splits.validation.paths}
    if not bad <= present:
        raise ValueError(
            f"{run.path / SKIPPED} names files that are not in the dataset, such as "
            f"{min(bad - present)}: train into a new folder if they were moved."
        )
    remaining = {}
    for name in ("train", "validation"):
        dataset = getattr(splits, name)
        kept = [i for i, path in enumerate(dataset.paths) if path.absolute() not in bad]
        if not kept:
            raise ValueError(f"The {name} split needs a readable image: all of them are damaged.")
        remaining[name] = dataset.take(kept)
    return dataclasses.replace(splits, **remaining)


def _set_seed(seed: int) -> None:
    """Make the training deterministic."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
