"""`Explainer`: explains the class of an image, a number or one detection by a heat map."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._arguments import check_choice, check_count
from cspdarknet._image_size import ImageSize
from cspdarknet.analysis.explanation import Explanation, normalized
from cspdarknet.analysis.occlusion import occlusion_map
from cspdarknet.analysis.targets import Target, class_target, detection_target, number_target
from cspdarknet.detections import DetectionOptions
from cspdarknet.detections.options import class_ids
from cspdarknet.images import RGB, ImageError, as_picture
from cspdarknet.inference.predictor import Predictor
from cspdarknet.model_info import ModelInfo, is_exported_file
from cspdarknet.preprocessing import Preprocessed, preprocessor

OCCLUSION = "occlusion"
METHODS = ("grad-cam", "layer-cam", OCCLUSION)
# Grad-CAM shows all objects of a class: one of them needs a local method.
DEFAULT_METHODS = {
    "classification": "grad-cam",
    "regression": "grad-cam",
    "detection": "layer-cam",
}
GRID = 15  # positions of the patch along each side
BATCH_SIZE = 8


class Explainer:
    """Heat maps of where in images a model finds a class or an object, or what raises a number.

    Args:
        model: a classifier, a detector or a regressor: a Keras model or anything that `load_model`
            takes; for occlusion an exported file, too.
        method: `"grad-cam"`, `"layer-cam"` or `"occlusion"`. `None` is LayerCAM for detectors,
            Grad-CAM for others, and occlusion for exported files, which have no gradients.
        level: pyramid level of the backbone that is explained; `None` for the deepest one, or for
            that of the anchor point of a detection.
        image_size: image size in pixels, as of `Predictor`; `None` for the model's own.
        options: detectors: `DetectionOptions` in place of the model's own.
        grid: occlusion: number of positions of the patch along each side; their square is the
            number of passes through the model.
        batch_size: occlusion: maximum number of images in a batch.
        runtime: occlusion: runtime of the `Predictor`.
        device: occlusion: device of the `Predictor`.

    Attributes:
        method: name of the method.
        predictor: the `Predictor` of the model.

    Raises:
        ValueError: if the model is for features, or an argument does not fit it.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> explainer = Explainer("csp_darknet_tiny_clothing", image_size=64)
        >>> explanation = explainer("sea.png", class_name="hat")
        >>> explanation.map.shape, explanation.raw.shape, explanation.level
        ((64, 64), (2, 2), 'P5')
    """

    def __init__(
        self,
        model: Any,
        method: str | None = None,
        *,
        level: str | None = None,
        image_size: ImageSize | None = None,
        options: DetectionOptions | None = None,
        grid: int = GRID,
        batch_size: int = BATCH_SIZE,
        runtime: str | None = None,
        device: str = "auto",
    ) -> None:
        check_choice("method", method, (None, *METHODS))
        self._grid = check_count("grid", grid)
        if method is None and is_exported_file(model):
            method = OCCLUSION
        if method == OCCLUSION and level is not None:
            raise ValueError(
                "`level` is for grad-cam and layer-cam: occlusion covers pixels of the image. "
                f"Received: {level=}: leave it out."
            )
        settings: dict[str, Any] = {"image_size": image_size, "options": options}
        if method == OCCLUSION:
            settings |= {"batch_size": batch_size, "runtime": runtime, "device": device}
            self.predictor = Predictor(model, mode="throughput", **settings)
        else:
            model = _differentiable(model)
            self.predictor = Predictor(model, runtime="keras", **settings)
        info = self.predictor.info
        _check_task(info)
        self.method: str = method or DEFAULT_METHODS[info.task]
        if image_size is None and options is not None:
            image_size = options.image_size
        self._preprocess = preprocessor(info, image_size)
        self._activation_map: Any = None
        if self.method != OCCLUSION:
            from cspdarknet.analysis.activation_maps import ActivationMapper

            self._activation_map = ActivationMapper(model, self.method, level)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, or of a regressor's numbers."""
        info = self.predictor.info
        return info.targets or () if info.task == "regression" else self.predictor.class_names

    @property
    def passes(self) -> int:
        """Number of times that `progress` is called with 1 for each image."""
        return self._grid**2 if self.method == OCCLUSION else 1

    def check(self, class_name: str | int | None, detection: int | None) -> int | None:
        """Check the arguments of a call, and return the id of the class, `None` for any.

        Raises:
            ValueError: if there is no such class, or `detection` is given for another model than a
                detector.
        """
        if detection is not None and self.predictor.info.task != "detection":
            raise ValueError(
                f"`detection` is for detectors. Received: {detection=} for a model for "
                f"{self.predictor.info.task}: leave it out."
            )
        if class_name is None:
            return None
        if self.predictor.info.task == "regression":
            return _number(class_name, self.names)
        return class_ids([class_name], self.names)[0]

    def __call__(
        self,
        image: Any,
        class_name: str | int | None = None,
        *,
        detection: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Explanation:
        """Explain one image.

        Args:
            image: as of a `Predictor`.
            class_name: name or id of the class; `None` for the most probable one, or that of the
                detection. Of a regressor, name or index of the number; `None` for the first.
            detection: detectors: number of the detection, from 0 for the highest confidence; of
                those of the class, if one is given. `None` is 0.
            progress: called with 1 after each of `passes`.

        Returns:
            An `Explanation`.

        Raises:
            ImageError: if the image cannot be used.
            TargetError: (a `ValueError`) If the image has no such detection.
            ValueError: if there is no such class, or `detection` is given for another model than a
                detector.
        """
        class_id = self.check(class_name, detection)
        given = self._preprocess(image)
        result = self.predictor(given.image)
        task = self.predictor.info.task
        if task == "detection":
            path = Path(image) if isinstance(image, (str, Path)) else None
            target = detection_target(replace(result, path=path), class_id, detection or 0)
        else:
            choose = number_target if task == "regression" else class_target
            target = choose(result, class_id)
        level, raw, heat = self._explain(given, target, progress)
        channels = given.image.shape[2]
        return Explanation(
            image=given.image if channels == RGB else as_picture(given.image),
            map=normalized(heat),
            raw=raw,
            method=self.method,
            level=level,
            class_id=target.class_id,
            class_name=self.names[target.class_id],
            score=target.score,
            box=target.box,
        )

    def _explain(
        self, given: Preprocessed, target: Target, progress: Callable[[int], object] | None
    ) -> tuple[str | None, np.ndarray, np.ndarray]:
        """Return the level, the values of the method, and these in pixels of the image."""
        if self._activation_map is None:

            def scores(images: Iterable[np.ndarray]) -> Iterator[float]:
                with closing(self.predictor.stream(images)) as results:
                    for _, result in results:
                        if isinstance(result, ImageError):
                            raise result
                        yield target.score_in(result)

            raw = occlusion_map(given.image, scores, self._grid, progress)
            return None, raw, raw
        level, raw, heat = self._activation_map(given, target)
        if progress:
            progress(1)
        return level, raw, heat


def explain(
    model: Any,
    image: Any,
    method: str | None = None,
    level: str | None = None,
    class_name: str | int | None = None,
    *,
    detection: int | None = None,
    **settings: Any,
) -> Explanation:
    """Explain the class of an image, a number or one detection; `Explainer` is for several images.

    Args:
        model: as of `Explainer`.
        image: as of a `Predictor`.
        method: as of `Explainer`.
        level: as of `Explainer`.
        class_name: as of a call of `Explainer`.
        detection: as of a call of `Explainer`.
        **settings: other arguments of `Explainer`.

    Returns:
        An `Explanation`.

    Raises:
        ImageError: if the image cannot be used.
        ValueError: if an argument does not fit the model, or there is no such class or detection.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> explanation = explain("csp_darknet_tiny_clothing", "sea.png", "layer-cam", level="P4")
        >>> explanation.picture().save("explained.png")
    """
    explainer = Explainer(model, method, level=level, **settings)
    return explainer(image, class_name, detection=detection)


def _differentiable(model: Any) -> Any:
    """Return the Keras model that gradients are taken of."""
    if is_exported_file(model):
        raise ValueError(
            "Grad-CAM and LayerCAM need gradients, which an exported file does not have. "
            f"Received: {model}: use the method occlusion, or the model that was exported."
        )
    if hasattr(model, "inputs"):
        return model
    from cspdarknet.models import load_model

    return load_model(model)


def _number(name: str | int, names: tuple[str, ...]) -> int:
    """Return the index of a number of a regressor.

    Raises:
        ValueError: if there is none of this name or index.
    """
    if name in names:
        return names.index(str(name))
    if str(name).isdecimal() and int(name) < len(names):
        return int(name)
    raise ValueError(
        "`class_name` (`--class`) must be the name or index of a number of the regressor: "
        f"{', '.join(names)}. Received: {name!r}"
    )


def _check_task(info: ModelInfo) -> None:
    if info.task not in DEFAULT_METHODS or info.raw_outputs:
        received = "raw outputs of a detector" if info.raw_outputs else info.task
        raise ValueError(
            "The model must be a classifier, a detector or a regressor. "
            f"Received: a model for {received}."
        )
