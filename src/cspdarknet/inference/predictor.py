"""`Predictor`: photos in, features, classes or boxes out, as fast as the processor can."""

import math
import os
import reprlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from PIL import Image

from cspdarknet._prefetch import prefetch_map, threads
from cspdarknet.detections import as_detections
from cspdarknet.images import ImageError
from cspdarknet.inference import runtimes
from cspdarknet.inference.model_source import ExportedFile, KerasModel
from cspdarknet.model_info import ModelInfo, is_exported_file
from cspdarknet.preprocessing import DEFAULT_SIZE, check_count, preparation

THROUGHPUT_BATCH = 8
TIMED_ROUNDS = 7
CALIBRATION_PHOTOS = 128
ONE_PROCESS = "A Predictor belongs to the process that made it: make one in each process."


class _Prepared(NamedTuple):
    """A photo on its way: what was given, its pixels for the model (or why not), and its size."""

    item: Any
    pixels: np.ndarray | ImageError
    size: tuple[int, int]


class Predictor:
    """Runs a model on photos: reading and preparing them, and the model, at the same time.

    A classifier sees the square in the middle of a photo, a detector the whole photo letterboxed,
    both of the size that they were trained with. A backbone sees photos as they are, each of its
    own size; or shrunk, if `longer_side` is given; or the square in the middle, if `image_size` is
    given, or the model is built for one size.

    It belongs to the process that made it: make one in each process.

    Args:
        model: a backbone, its `feature_pyramid()`, an `ImageClassifier` or a `YOLOXDetector`; the
            name or folder of a preset, or the folder of a run; or a file that `export` wrote,
            `.onnx` or `.xml`, which needs neither Keras nor a backend.
        runtime: `"openvino"`, `"onnxruntime"`, `"keras"`; or `"fastest"`, which times those that
            are installed.
        precision: `"float32"`; `"bfloat16"` where the processor has it (OpenVINO only); or
            `"int8"`, of an exported file of that kind or with `calibration`.
        mode: `"latency"`: all threads work on one batch; or `"throughput"`: each on one of its own.
        image_size: side in pixels of the square that the model sees, in place of its own.
        longer_side: of a backbone: photos larger than this are shrunk to it.
        batch_size: most photos in a batch, which have one size; 1 for latency, 8 for throughput by
            default.
        levels: of a backbone: levels of the pyramid, such as `["P3", "P5"]`; `None` for its output.
        threads: number of threads of the runtime; `None` for all. Keras has settings of its own.
        workers: number of threads that read and prepare photos.
        calibration: for `precision="int8"`: a folder of photos like those to come, or a list of
            them. The first 128 are used.
        score_threshold: of a detector, in place of the model's.
        iou_threshold: likewise.
        max_detections: likewise.

    Attributes:
        description: what the model takes and gives: its task, class names, and so on.
        runtime: the name of the runtime.

    Raises:
        ValueError: if arguments do not fit the model, the file or the processor.
        ImportError: if the runtime is missing.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> predictor = Predictor("csp_darknet_tiny_clothing", runtime="keras")
        >>> predictor("sea.png").shape
        (10,)
        >>> for photo, result in predictor.stream(["sea.png", "no.png"]):
        ...     print(photo, "is bad" if isinstance(result, ImageError) else result.shape)
        sea.png (10,)
        no.png is bad
    """

    def __init__(
        self,
        model: Any,
        *,
        runtime: str = "openvino",
        precision: str = "float32",
        mode: str = "latency",
        image_size: int | None = None,
        longer_side: int | None = None,
        batch_size: int | None = None,
        levels: Sequence[str | int] | None = None,
        threads: int | None = None,
        workers: int = 2,
        calibration: str | Path | Sequence[Any] | None = None,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> None:
        _check_choices(runtime, precision, mode, calibration)
        sizes = {
            "image_size": _check_optional("image_size", image_size),
            "longer_side": _check_optional("longer_side", longer_side),
        }
        thresholds = {
            "score_threshold": score_threshold,
            "iou_threshold": iou_threshold,
            "max_detections": max_detections,
        }
        settings = runtimes.Settings(precision, mode, _check_optional("threads", threads))
        self._batch_size = _check_optional("batch_size", batch_size) or (
            THROUGHPUT_BATCH if mode == "throughput" else 1
        )
        self._workers = check_count("workers", workers)
        source = _source(model, settings, levels, calibration, sizes, thresholds)
        if runtime == "fastest":
            self.runtime, self._runtime = _fastest(source, self._batch_size, sizes["image_size"])
        else:
            self.runtime, self._runtime = runtime, source.start(runtime)
        self.description: ModelInfo = self._runtime.description
        self._image_shape = _image_shape(self._runtime)
        self._pixels = preparation(self.description, **sizes)
        self._process = os.getpid()

    def __reduce__(self) -> NoReturn:
        """Say that threads and compiled graphs cannot be pickled or copied."""
        raise TypeError(ONE_PROCESS)

    @property
    def output_names(self) -> list[str]:
        """Names of what `run` returns, such as the levels of a pyramid."""
        return self._runtime.output_names

    # Photos.

    def __call__(self, photos: Any) -> Any:
        """Return the result of a photo, or the results of a list of photos, in order.

        Args:
            photos: a path, a Pillow image, or an array `(height, width, 3)`, RGB of 0..255; or a
                list of them.

        Returns:
            For each photo: of a backbone, a dict of arrays `(height, width, channels)` by level; of
            a classifier, an array `(classes,)` of probabilities; of a detector, `Detections` in
            pixels of the photo.

        Raises:
            ImageError: if a photo cannot be used; `stream` goes on after one.
        """
        if _is_one_photo(photos):
            return self._only(photos)
        results = []
        for _, result in self.stream(photos):
            if isinstance(result, ImageError):
                raise result
            results.append(result)
        return results

    def _only(self, photo: Any) -> Any:
        """Return the result of one photo, without threads to be started for it."""
        prepared = self._prepare(photo)
        if isinstance(prepared.pixels, ImageError):
            raise prepared.pixels
        return self._infer([prepared])[0][1]

    def stream(self, photos: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Go through photos, however many: yield each with its result, in order.

        What is yielded beside the photo is its result as of a call, or a `ImageError` if it cannot
        be used. A bounded number of photos is taken ahead of what is yielded: about two batches for
        each stream. An error of the iterable itself is raised after the results of the photos
        before it.

        Photos are taken in the thread that asks for results, and a result comes no sooner than the
        photos that are taken ahead of it: call the predictor on each photo of a slow source, such
        as a camera, to have each result at once.

        Args:
            photos: paths, Pillow images, and arrays `(height, width, 3)`, RGB of 0..255.

        Raises:
            ValueError: if it is one photo rather than an iterable of them.
        """
        if _is_one_photo(photos):
            raise ValueError(
                "`photos` must be a list of photos, or another iterable of them. Received: "
                f"{reprlib.repr(photos)}: call the predictor on one photo."
            )
        return self._stream(photos)

    def _stream(self, photos: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        failures: list[Exception] = []

        def given() -> Generator[Any, None, None]:
            try:
                yield from photos
            except Exception as error:
                failures.append(error)

        streams = self._runtime.streams
        depth = max(self._batch_size, 2 * self._workers)
        with (
            threads(self._workers) as readers,
            threads(streams) as runners,
            closing(given()) as source,
        ):
            prepared = prefetch_map(self._prepare, source, readers, depth)
            batches = _batches(prepared, self._batch_size)
            for results in prefetch_map(self._infer, batches, runners, streams):
                yield from results
        if failures:
            raise failures[0]

    def _prepare(self, item: Any) -> _Prepared:
        try:
            return _Prepared(item, *self._pixels(item))
        except ImageError as error:
            return _Prepared(item, error, (0, 0))

    def _infer(self, batch: list[_Prepared]) -> list[tuple[Any, Any]]:
        """Return the items of a batch with their results."""
        good = [photo for photo in batch if not isinstance(photo.pixels, ImageError)]
        found = self.run(np.stack([photo.pixels for photo in good])) if good else {}  # type: ignore[misc]
        rows = iter(range(len(good)))
        results = []
        for photo in batch:
            if isinstance(photo.pixels, ImageError):
                results.append((photo.item, photo.pixels))
            else:
                row = next(rows)
                one = {name: values[row] for name, values in found.items()}
                results.append((photo.item, self._result(one, photo)))
        return results

    def _result(self, found: dict[str, np.ndarray], photo: _Prepared) -> Any:
        task = self.description.task
        if task == "classes":
            return found["probabilities"]
        if task == "boxes":
            if not self.description.letterbox:
                assert self.description.image_size is not None
                ratio = min(self.description.image_size / side for side in photo.size)
                found = {**found, "boxes": found["boxes"] / np.float32(ratio)}
            return as_detections(found, photo.size)
        if task == "features" and self.description.data_format == "channels_first":
            return {name: values.transpose(1, 2, 0) for name, values in found.items()}
        return found

    # Ready arrays.

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model on one batch of images that are prepared already.

        Args:
            images: array `(batch, height, width, 3)`, RGB of 0..255. If the model takes uint8,
                as one does that was not exported for floats, floats are rounded.

        Returns:
            The outputs by name, as arrays: `probabilities`; `boxes` in pixels of the images,
            `confidence`, `classes`, `num_detections`; or feature maps by level, in the model's
            order of axes.

        Raises:
            ValueError: if the images are of another form or size than the model takes.
            RuntimeError: in another process than the predictor was made in.
        """
        if os.getpid() != self._process:
            raise RuntimeError(ONE_PROCESS)
        _check_images(images, self._image_shape)
        if self.description.inputs == "uint8" and images.dtype != np.uint8:
            images = np.rint(images).clip(0, 255)
        if self.description.data_format == "channels_first":
            images = images.transpose(0, 3, 1, 2)
        return self._runtime.run(np.ascontiguousarray(images, self.description.inputs))


def _source(
    model: Any,
    settings: runtimes.Settings,
    levels: Sequence[str | int] | None,
    calibration: Any,
    sizes: dict[str, int | None],
    thresholds: dict[str, Any],
) -> ExportedFile | KerasModel:
    """Return what runtimes are started on."""
    if calibration is not None and not isinstance(calibration, (str, Path)):
        calibration = list(islice(calibration, CALIBRATION_PHOTOS))
    if is_exported_file(model):
        fixed = {"levels": levels, "calibration": calibration, **thresholds}
        return ExportedFile(model, settings, **fixed)
    from cspdarknet.inference import keras_runtime
    from cspdarknet.models import load_model

    if isinstance(model, (str, Path)):
        model = load_model(model)
    how = {"inputs": "uint8", **thresholds}
    if keras_runtime.is_detector(model):
        how["image_size"] = sizes["image_size"]
    model = keras_runtime.of_levels(model, levels)
    return KerasModel(model, settings, how, calibration, sizes)


def _fastest(
    source: ExportedFile | KerasModel, batch_size: int, image_size: int | None
) -> tuple[str, runtimes.Runtime]:
    """Return the runtime that takes least time for a batch of images, started, and its name."""
    least, found = math.inf, None
    for name in source.runtimes:
        runtime = source.start(name)
        seconds = _time(runtime, batch_size, image_size)
        if seconds < least:
            least, found = seconds, (name, runtime)
    if found is None:
        raise ImportError("No runtime is installed: run `pip install 'cspdarknet[openvino]'`.")
    return found


def _time(runtime: runtimes.Runtime, batch_size: int, image_size: int | None) -> float:
    """Return the seconds that a batch takes while all streams are busy."""
    about = runtime.description
    size = image_size or about.image_size or DEFAULT_SIZE
    shape = [given or size for given in runtime.input_shape[1:]]
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *shape)).astype(about.inputs)
    rounds = []
    with threads(runtime.streams) as pool:
        for _ in range(TIMED_ROUNDS):
            start = time.perf_counter()
            list(pool.map(runtime.run, [images] * runtime.streams))
            rounds.append(time.perf_counter() - start)
    return min(rounds) / runtime.streams


def _batches(photos: Iterable[_Prepared], most: int) -> Iterator[list[_Prepared]]:
    """Put successive photos of one size together; those that cannot be used go along."""
    batch: list[_Prepared] = []
    shape: Any = None
    count = 0
    for photo in photos:
        good = not isinstance(photo.pixels, ImageError)
        if good and count and photo.pixels.shape != shape:  # type: ignore[union-attr]
            yield batch
            batch, count = [], 0
        if good:
            shape, count = photo.pixels.shape, count + 1  # type: ignore[union-attr]
        batch.append(photo)
        if len(batch) >= most:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def _check_choices(runtime: str, precision: str, mode: str, calibration: Any) -> None:
    for name, value, choices in (
        ("runtime", runtime, (*runtimes.RUNTIMES, "fastest")),
        ("precision", precision, tuple(runtimes.PRECISIONS)),
        ("mode", mode, runtimes.MODES),
    ):
        if value not in choices:
            raise ValueError(
                f"`{name}` must be one of {', '.join(map(repr, choices))}. Received: {value!r}"
            )
    able = runtimes.PRECISIONS[precision]
    if runtime not in (*able, "fastest"):
        raise ValueError(
            f"precision={precision!r} is for {' and '.join(able)}. Received: runtime={runtime!r}"
        )
    if calibration is not None and precision != "int8":
        raise ValueError(
            f"`calibration` is for precision='int8'. Received: precision={precision!r}"
        )


def _check_optional(name: str, value: Any) -> int | None:
    return None if value is None else check_count(name, value)


def _is_one_photo(photos: Any) -> bool:
    """Whether this is a photo, or meant as one, rather than an iterable of them."""
    if isinstance(photos, (str, bytes, Image.Image)) or not isinstance(photos, Iterable):
        return True
    return getattr(photos, "ndim", None) in (0, 2, 3)


def _image_shape(runtime: runtimes.Runtime) -> tuple[int | None, int | None]:
    """Return the height and width of a model's images, `None` where it takes any.

    Raises:
        ValueError: if they are not RGB.
    """
    _, *shape = runtime.input_shape
    if runtime.description.data_format == "channels_first":
        shape = [*shape[1:], shape[0]]
    height, width, channels = shape
    if channels != 3:
        raise ValueError(f"The model must take photos, of 3 channels. Received: one of {channels}")
    return height, width


def _check_images(images: Any, size: tuple[int | None, int | None]) -> None:
    """Accept a batch of images of the size that a model takes, if it takes but one."""
    shape = tuple(getattr(images, "shape", ()))
    wanted = (None, *size, 3)
    fits = len(shape) == 4 and all(b in (None, a) for a, b in zip(shape, wanted, strict=True))
    if not fits or 0 in shape:
        height, width = (a or name for a, name in zip(size, ("height", "width"), strict=True))
        given = f"the shape {shape}" if shape else f"a {type(images).__name__}"
        raise ValueError(f"`images` must be (batch, {height}, {width}, 3). Received: {given}")
