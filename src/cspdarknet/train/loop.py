"""Run a recipe: stages, epochs, averages, and a state on disk after each epoch."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from cspdarknet.data.pipeline import training_batches
from cspdarknet.presets.save import save_preset
from cspdarknet.train import distributed
from cspdarknet.train.display import Display
from cspdarknet.train.ema import ExponentialMovingAverage
from cspdarknet.train.optimizer import build_optimizer
from cspdarknet.train.recipe import BaseRecipe, Phase
from cspdarknet.train.run_folder import STATE, RunFolder
from cspdarknet.train.state import State, save_state
from cspdarknet.train.tasks import Row, Task

BEST, LAST = "best", "last"
NOT_EVALUATED = -1.0


@dataclass
class Training:
    """One training in a run folder.

    Attributes:
        task: what is trained, and how good it is.
        model: the model that is trained.
        finished: the model as it is evaluated and saved, with nothing frozen.
        source: the photos to train on, and how they are fed.
        recipe: how to train.
        run: where the files go.
        display: where progress is shown.
        on_epoch: called with the figures of each epoch.
    """

    task: Task
    model: keras.Model
    finished: keras.Model
    source: Any
    recipe: BaseRecipe
    run: RunFolder
    display: Display
    on_epoch: Callable[[Row], object] = id

    def __post_init__(self) -> None:
        self.history: list[Row] = []
        self.average: ExponentialMovingAverage | None = None
        if self.recipe.ema_decay:
            self.average = ExponentialMovingAverage(self.model, self.recipe.ema_decay)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return max(1, round(len(self.source.photos) / self.source.batch_size))

    def fit(self) -> list[Row]:
        """Train, from the state in the run folder if there is one; return all epochs' figures."""
        state = self._resume()
        epoch = 0
        for phase in self.recipe.phases:
            first, epoch = epoch, epoch + len(phase)
            if epoch <= len(self.history):
                continue
            self._phase_start = first
            self._begin(phase[0], len(phase) * self.steps)
            if state is not None and len(self.history) > first:
                state.restore_optimizer(self.model)
            for stage in phase[len(self.history) - first :]:
                if self.stopped_early:
                    return self.history
                self._epoch(stage)
        return self.history

    @property
    def stopped_early(self) -> bool:
        """Whether the score has not risen for as many epochs as the recipe has patience.

        Only epochs count that are like the last one: what was trained or shown before that was
        different.
        """
        first = self.recipe.epochs - len(self.recipe.phases[-1])
        rows = [row for row in self.history[first:] if self._is_final(row)]
        scores = [self._score(row) for row in rows]
        if not self.recipe.patience or not scores:
            return False
        return len(scores) - 1 - int(np.argmax(scores)) >= self.recipe.patience

    def _is_final(self, row: Row) -> bool:
        """Whether an epoch had the image size that the finished model is for."""
        return bool(row["image_size"] == self.recipe.stages[-1].image_size)

    def _resume(self) -> State | None:
        if not (self.run.path / STATE).exists():
            return None
        state = State(self.run.path / STATE)
        self.history = state.history
        state.restore_model(self.model, self.average)
        return state

    def _begin(self, stage: Phase, steps: int) -> None:
        """Set what is trained in the next steps, and compile."""
        if self.recipe.accumulate > steps:
            raise ValueError(
                f"A stage of {steps} batches never steps with accumulate="
                f"{self.recipe.accumulate}: accumulate fewer, or train for more epochs."
            )
        set_trained_part(self.model, stage.train)
        self.task.compile(self.model, build_optimizer(self.recipe, stage, steps, self.model))

    def _epoch(self, stage: Phase) -> None:
        start, epoch = time.perf_counter(), len(self.history)
        figures = self._train(stage, epoch)
        seconds = time.perf_counter() - start
        row: Row = {
            "epoch": epoch + 1,
            "stage": self.recipe.stage_number(epoch),
            "train": stage.train,
            "image_size": stage.image_size,
            "learning_rate": float(self.model.optimizer.learning_rate),
            **figures,
            "seconds": round(seconds, 2),
            "images_per_second": round(self.steps * self.source.batch_size / seconds, 1),
        }
        if not np.isfinite(row["loss"]):
            raise ValueError(
                f"The loss is {row['loss']} in epoch {row['epoch']}: train with a lower learning "
                "rate, or with a limit of the gradient (clip_norm)."
            )
        with distributed.on_one_device():
            self._finish(row, stage)

    def _train(self, stage: Phase, epoch: int) -> dict[str, float]:
        """Train for an epoch; return the means of the loss and what comes with it."""
        # PyTorch's dropout draws from the global generator, which no checkpoint holds.
        keras.utils.set_random_seed(self.recipe.seed + epoch)
        self.task.begin(self.model, stage)
        source = self.source.no_mixing if stage.no_mixing else self.source
        sums = dict.fromkeys(self.task.figures, 0.0)
        start = epoch * self.steps
        before = (epoch - self._phase_start) * self.steps  # batches that the optimizer has seen
        for step, (images, targets, weights) in enumerate(
            training_batches(source, stage.image_size, start, self.steps), 1
        ):
            if not weights.any():
                raise ValueError(
                    "None of the photos of a batch can be read: "
                    f"{next(iter(self.source.failures.values()))} Run the same command again when "
                    "they are back."
                )
            if self.model.backbone.data_format == "channels_first":
                images = images.transpose(0, 3, 1, 2)
            self.model.reset_metrics()
            figures = self.model.train_on_batch(images, targets, weights, return_dict=True)
            sums = {name: value + float(figures[name]) for name, value in sums.items()}
            if self.average is not None and (before + step) % self.recipe.accumulate == 0:
                self.average.update()
            means = {name: value / step for name, value in sums.items()}
            self.display.batch(epoch, step, self.steps, self.source.batch_size, means)
        return means

    def _finish(self, row: Row, stage: Phase) -> None:
        """Evaluate the weights that would be kept, if it is time to, and save everything."""
        self.finished.set_weights(self._kept_weights())
        row |= dict.fromkeys(self.task.validation_figures)
        if row["epoch"] % self.recipe.evaluate_every == 0 or row["epoch"] == self.recipe.epochs:
            row |= self.task.evaluate(
                self.finished, self.recipe.evaluation_size(stage), self.source.workers
            )
        row["best"] = self._score(row) > NOT_EVALUATED and all(
            self._rank(row) >= self._rank(other) for other in self.history
        )
        self.history.append(row)
        if distributed.is_first_process():
            self._save(row)
        self.on_epoch(row)

    def _kept_weights(self) -> list[np.ndarray]:
        if self.average is None:
            return list(self.model.get_weights())
        return [np.array(keras.ops.convert_to_numpy(v)) for v in self.average.values]

    def _score(self, row: Row) -> float:
        score = row[self.task.score]
        return NOT_EVALUATED if score is None else float(score)

    def _rank(self, row: Row) -> tuple[float, ...]:
        """Order epochs: those with the final image size are before all others."""
        return self._is_final(row), self._score(row), *self.task.tie_break(row)

    def _save(self, row: Row) -> None:
        # The state comes last: an epoch that it does not know is run again, with the same result.
        if row["best"]:
            save_preset(self.finished, self.run.path / BEST)
        save_preset(self.finished, self.run.path / LAST)
        self.run.write_history(self.history)
        save_state(self.run, self.model, self.average, self.history)


def set_trained_part(model: keras.Model, part: str) -> None:
    """Freeze what is below `part`: `"all"`, `"head"`, or a level of the backbone such as `"P4"`."""
    levels = list(model.backbone.pyramid_level_inputs)
    check_trained_part(model, part)
    if part == "all":
        model.backbone.freeze(None)
    elif part == "head":
        model.backbone.freeze(levels[-1])
    else:
        model.backbone.freeze(levels.index(part))


def check_trained_part(model: keras.Model, part: str) -> None:
    """Refuse what is no part of this model.

    Raises:
        ValueError: if it is neither `"all"`, `"head"` nor a level.
    """
    levels = list(model.backbone.pyramid_level_inputs)
    if part not in ("all", "head", *levels):
        raise ValueError(
            f"A stage trains 'all', 'head' or from a level on ({', '.join(levels)}). "
            f"Received: {part!r}"
        )
