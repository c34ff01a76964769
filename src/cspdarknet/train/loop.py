"""The training loop: phases, epochs, EMA, validation, and a state on disk after each epoch."""

import time
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from cspdarknet._image_size import ImageSize, to_text
from cspdarknet.checkpoints.loading import load_weights
from cspdarknet.data import training_batches
from cspdarknet.inference import Predictor
from cspdarknet.presets.config import BEST, LAST, WEIGHTS
from cspdarknet.presets.save import save_preset
from cspdarknet.train import distributed
from cspdarknet.train.averages import WeightAverages
from cspdarknet.train.display import Display
from cspdarknet.train.loggers import Loggers
from cspdarknet.train.loggers.logger import numbers
from cspdarknet.train.memory import memory_errors
from cspdarknet.train.optimizer import build_optimizer
from cspdarknet.train.recipe import BaseRecipe, Phase
from cspdarknet.train.run_folder import RunFolder
from cspdarknet.train.state import STATE, State, save_state
from cspdarknet.train.tasks import Row, Task
from cspdarknet.train.teacher import LoadedTeacher

LOGGED_EVERY = 10  # batches


@dataclass
class Training:
    """One training in a run folder, which continues from the state in it.

    Attributes:
        task: the task.
        model: the model that is trained.
        saved_model: a model of the same layers, with nothing frozen. It gets the weights that are
            evaluated and saved: the EMA, if the recipe has one.
        source: the source of the training batches.
        validation: the validation dataset.
        run: the run folder.
        display: shows the progress.
        teacher: the teacher of a distillation.
        loggers: the training's runs in trackers of experiments.
        history: metrics of the finished epochs.
    """

    task: Task
    model: keras.Model
    saved_model: keras.Model
    source: Any
    validation: Any
    run: RunFolder
    display: Display
    teacher: LoadedTeacher | None = None
    loggers: Loggers = field(default_factory=Loggers)
    history: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._predictors: dict[ImageSize, Predictor] = {}  # by image size

    @property
    def recipe(self) -> BaseRecipe:
        """The recipe of the training."""
        return self.task.recipe

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return max(1, round(len(self.source.dataset) / self.source.batch_size))

    @property
    def _logged_metrics(self) -> tuple[str, ...]:
        """Names of the metrics of an epoch that trackers of experiments get."""
        computed = (*self.task.metrics, *self.task.validation_metrics)
        return (*computed, "learning_rate", "images_per_second")

    def fit(self) -> list[Row]:
        """Train to the end of the recipe, and return the metrics of all epochs."""
        decays = self.recipe.ema_decay, self.recipe.batch_norm_momentum
        self._averages = WeightAverages(self.model, *decays)
        state = self._resume()
        epoch = 0
        for phases in self.recipe.epochs_by_optimizer:
            first, epoch = epoch, epoch + len(phases)
            if epoch <= len(self.history):
                continue
            self._first_epoch = first
            self._compile(phases[0], len(phases) * self.steps)
            if state is not None and len(self.history) > first:
                state.restore_optimizer(self.model)
            else:
                self._averages.begin()
            for phase in phases[len(self.history) - first :]:
                if self.stopped_early:
                    return self.history
                with memory_errors(self.recipe, phase, len(self.history), self.run.path):
                    self._run_epoch(phase)
        return self.history

    @property
    def stopped_early(self) -> bool:
        """Whether the score has not risen for `patience` epochs.

        Only epochs of the last optimizer and image size count, since the scores of others do not
        compare.
        """
        first = self.recipe.epochs - len(self.recipe.epochs_by_optimizer[-1])
        rows = [
            row
            for row in self.history[first:]
            if self._has_final_size(row) and row[self.task.score] is not None
        ]
        if not self.recipe.patience or not rows:
            return False
        best = max(rows, key=lambda row: row[self.task.score])
        return bool(self.history[-1]["epoch"] - best["epoch"] >= self.recipe.patience)

    def evaluate_best(self) -> Any:
        """Return the evaluation of the best model on the validation dataset."""
        load_weights(self.saved_model, self.run.path / BEST / WEIGHTS)
        return self._evaluate(self.recipe.image_size)

    def _resume(self) -> State | None:
        if not (self.run.path / STATE).exists():
            return None
        state = State(self.run.path / STATE)
        self.history = state.history
        state.restore_model(self.model, self._averages)
        return state

    def _compile(self, phase: Phase, steps: int) -> None:
        """Freeze the layers that are not trained in the next steps, and compile the model."""
        if self.recipe.accumulate > steps:
            raise ValueError(
                f"`accumulate` must be at most {steps}, the number of batches of a phase. "
                f"Received: accumulate={self.recipe.accumulate}. Accumulate fewer batches, or "
                "train for more epochs."
            )
        set_trained_layers(self.model, phase.train)
        self.task.compile(self.model, build_optimizer(self.recipe, phase, steps, self.model))

    def _run_epoch(self, phase: Phase) -> None:
        start, epoch = time.perf_counter(), len(self.history)
        metrics = self._train(phase, epoch)
        seconds = time.perf_counter() - start
        row: Row = {
            "epoch": epoch + 1,
            "phase": self.recipe.phase_number(epoch),
            "train": phase.train,
            "image_size": _size_in_row(phase),
            "learning_rate": float(self.model.optimizer.learning_rate),
            **metrics,
            "seconds": round(seconds, 2),
            "images_per_second": float(f"{self.steps * self.source.batch_size / seconds:.3g}"),
        }
        if not np.isfinite(row["loss"]):
            raise ValueError(
                f"The loss is {row['loss']} in epoch {row['epoch']}: train with a lower learning "
                "rate, or clip the gradients (`clip_norm`)."
            )
        with distributed.on_one_device():
            self._finish_epoch(row, phase)

    def _train(self, phase: Phase, epoch: int) -> dict[str, float]:
        """Train for an epoch, and return the means of the metrics."""
        # Dropout of PyTorch draws from the global generator, which no state file holds.
        distributed.set_seed(self.recipe.seed + epoch)
        self.task.begin_phase(self.model, phase)
        source = self.source.no_mixing if phase.no_mixing else self.source
        sums = dict.fromkeys(self.task.metrics, 0.0)
        batches = training_batches(source, phase.image_size, epoch * self.steps, self.steps)
        earlier = (epoch - self._first_epoch) * self.steps  # batches of the same optimizer
        for step, (images, targets, weights) in enumerate(batches, 1):
            if not distributed.mean({"weights": float(weights.sum())})["weights"]:
                raise ValueError(
                    "None of the images of a batch can be read: "
                    f"{next(iter(self.source.failures.values()))} Run the same training again "
                    "when they are available."
                )
            if self.teacher is not None:
                targets = self.teacher.targets(images, targets)
            if self.model.backbone.data_format == "channels_first":
                images = images.transpose(0, 3, 1, 2)
            self.model.reset_metrics()
            metrics = self.model.train_on_batch(images, targets, weights, return_dict=True)
            sums = {name: value + float(metrics[name]) for name, value in sums.items()}
            self._averages.update((earlier + step) % self.recipe.accumulate == 0)
            means = {name: value / step for name, value in sums.items()}
            self.display.batch(epoch, step, self.steps, self.source.batch_size, means)
            if step % LOGGED_EVERY == 0:
                self.loggers.batch(epoch * self.steps + step, means)
        return distributed.mean(means)

    def _finish_epoch(self, row: Row, phase: Phase) -> None:
        """Evaluate the weights, if it is time to, and save everything."""
        self.saved_model.set_weights(self._averages.to_numpy())
        row |= dict.fromkeys(self.task.validation_metrics)
        if row["epoch"] % self.recipe.evaluate_every == 0 or row["epoch"] == self.recipe.epochs:
            row |= distributed.from_first_process(lambda: self._validation_row(phase))
        row["best"] = self._is_best(row)
        self.history.append(row)
        # Before the state, so that no epoch is missing after a kill.
        self.loggers.epoch(row["epoch"], numbers(row, self._logged_metrics))
        if distributed.is_first_process():
            self._save(row)
        self.display.epoch(row)

    def _validation_row(self, phase: Phase) -> Row:
        """Return the validation metrics of the saved model's present weights."""
        return self.task.validation_row(self._evaluate(self.recipe.evaluation_size(phase)))

    def _evaluate(self, image_size: ImageSize) -> Any:
        """Return the evaluation of the saved model's present weights on the validation dataset."""
        if image_size not in self._predictors:
            self._predictors[image_size] = self.task.build_predictor(
                self.saved_model, image_size, self.source.workers
            )
        predictor = self._predictors[image_size]
        predictor.update_weights()
        return self.task.evaluate(predictor, self.validation)

    def _is_best(self, row: Row) -> bool:
        """Whether an epoch is at least as good as all before it. Unevaluated epochs never are."""
        evaluated = [other for other in self.history if other[self.task.score] is not None]
        return row[self.task.score] is not None and all(
            self._rank(row) >= self._rank(other) for other in evaluated
        )

    def _rank(self, row: Row) -> tuple[float, ...]:
        """Order evaluated epochs: those of the final image size come before all others."""
        return self._has_final_size(row), float(row[self.task.score]), self.task.tie_break(row)

    def _has_final_size(self, row: Row) -> bool:
        """Whether an epoch had the image size that the trained model is for."""
        return bool(row["image_size"] == _size_in_row(self.recipe.phases[-1]))

    def _save(self, row: Row) -> None:
        # The state comes last: an epoch that it lacks is run again, with the same result.
        if row["best"]:
            save_preset(self.saved_model, self.run.path / BEST)
        save_preset(self.saved_model, self.run.path / LAST)
        self.run.write_history(self.history)
        save_state(self.run, self.model, self._averages, self.history)


def _size_in_row(phase: Phase) -> int | str:
    """Return the image size of a phase as it is in a row of metrics."""
    size = phase.image_size
    return size if isinstance(size, int) else to_text(size)


def set_trained_layers(model: keras.Model, train: str) -> None:
    """Freeze the layers of a backbone that a phase does not train.

    Args:
        model: a classifier or detector.
        train: `"all"`, `"head"`, or the name of a pyramid level, as in `Phase`.

    Raises:
        ValueError: if `train` is something else.
    """
    check_trained_layers(model, train)
    levels = list(model.backbone.pyramid_level_inputs)
    if train == "all":
        model.backbone.freeze(None)
    elif train == "head":
        model.backbone.freeze(levels[-1])
    else:
        model.backbone.freeze(levels.index(train))


def check_trained_layers(model: keras.Model, train: str) -> None:
    """Check that a model has the layers that a phase trains.

    Raises:
        ValueError: if `train` is neither `"all"`, `"head"` nor a pyramid level of the model.
    """
    levels = list(model.backbone.pyramid_level_inputs)
    if train not in ("all", "head", *levels):
        raise ValueError(
            f"`train` of a phase must be 'all', 'head' or a pyramid level ({', '.join(levels)}). "
            f"Received: train={train!r}"
        )
