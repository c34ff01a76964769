"""`Predictor`: images in; features, class probabilities, numbers or detections out."""

import os
import reprlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from cspdarknet._arguments import check_choice, check_count
from cspdarknet._image_size import ImageSize, check_image_size, sides
from cspdarknet._prefetch import prefetch_map, thread_pool
from cspdarknet.detections import DetectionOptions, Detections, check_options
from cspdarknet.images import RGB, ImageError, as_picture
from cspdarknet.inference import runtimes
from cspdarknet.inference.augmented import Augment, augment_for, infer_augmented, with_copies
from cspdarknet.inference.batches import Item, batches
from cspdarknet.inference.devices import DEVICES
from cspdarknet.inference.model_source import ModelSettings, model_source
from cspdarknet.inference.runtime_choice import check_choices, start_runtime
from cspdarknet.inference.tile_stream import Tile, stream_tiles, tiles_for
from cspdarknet.model_info import ModelInfo
from cspdarknet.preprocessing import preprocessor, takes_whole_images
from cspdarknet.tiles import Tiles

THROUGHPUT_BATCH_SIZE = 8
Results = Generator[tuple[Any, ...], None, None]
ONE_PROCESS = "A Predictor belongs to the process that made it: make one in each process."


class Predictor:
    """Inference on images: decoding, preprocessing and the model run at the same time.

    A classifier or regressor gets the center crop of an image, a detector the whole image,
    letterboxed, at the size that they were trained with. A backbone gets images as they are; or
    shrunk, if `longer_side` is given; or their center crop, if `image_size` is given or the model
    takes one size.

    A Predictor belongs to the process that made it: make one in each process.

    Args:
        model: a backbone, its `feature_pyramid()`, an `ImageClassifier`, an `ImageRegressor` or a
            `YOLOXDetector`; anything that `load_model` takes, such as a preset name or a run
            folder, which is converted once and then read from a cache; or a file that `export`
            wrote, `.onnx` or `.xml`. Neither that nor a cached model needs Keras or a backend.
        runtime: `"openvino"`, `"onnxruntime"` or `"keras"`; `None` for the first of these that is
            installed and takes the file and the precision; or `"fastest"` to measure those. A Keras
            model that cannot be exported needs `"keras"`.
        precision: `"float32"`; `"bfloat16"` if the CPU supports it (OpenVINO only); or `"int8"`,
            for an int8 file or with `calibration`.
        mode: `"latency"`: all threads work on one batch; `"throughput"`: each works on its own.
        image_size: side in pixels of the square that the model takes, or a pair (height, width), in
            place of its own.
        longer_side: backbones: maximum length of an image's longer side; larger ones are shrunk.
        batch_size: maximum number of images in a batch, which are of one size. `None` is 1 for
            latency and 8 for throughput.
        levels: backbones: pyramid levels, such as `["P3", "P5"]`; `None` for the model's output.
        threads: number of threads of the runtime; `None` for all. Keras has settings of its own.
        workers: number of threads that decode and preprocess images.
        device: `"auto"` for a GPU of NVIDIA if there is one and a runtime uses it, and the CPU
            otherwise; `"cpu"`; `"cuda"` (ONNX Runtime for GPUs, or Keras, whose backend chooses
            its device itself); or `"tensorrt"` (ONNX Runtime).
        calibration: for `precision="int8"`: a folder or a list of images like those to predict.
            The first 128 are used.
        options: detectors: a `DetectionOptions` in place of the model's own thresholds.
        tiles: detectors: `Tiles`, to detect in overlapping tiles of large images, and merge the
            detections. `max_detections` of the options is then that of each tile.
        augment: all but backbones: `True`, or `Augment`, to predict flipped or shrunk copies of
            each image, too, and to average the probabilities or numbers, or merge the detections.

    Attributes:
        info: the `ModelInfo`: task, class names, image size and so on.
        runtime: name of the runtime.

    Raises:
        ValueError: if an argument does not fit the model, the file or the device.
        ImportError: if the runtime is not installed.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> predictor = Predictor("csp_darknet_tiny_clothing", runtime="keras")
        >>> predictor("sea.png").shape
        (10,)
        >>> for path, result in predictor.stream(["sea.png", "no.png"]):
        ...     print(path, "failed" if isinstance(result, ImageError) else result.shape)
        sea.png (10,)
        no.png failed
    """

    def __init__(
        self,
        model: Any,
        *,
        runtime: str | None = None,
        precision: str = "float32",
        mode: str = "latency",
        image_size: ImageSize | None = None,
        longer_side: int | None = None,
        batch_size: int | None = None,
        levels: Sequence[str | int] | None = None,
        threads: int | None = None,
        workers: int = 2,
        device: str = "auto",
        calibration: str | Path | Sequence[Any] | None = None,
        options: DetectionOptions | None = None,
        tiles: Tiles | None = None,
        augment: bool | Augment | None = None,
    ) -> None:
        check_choices(runtime, precision, mode)
        check_choice("device", device, DEVICES)
        if image_size is not None:
            image_size = check_image_size(image_size)
        sizes: dict[str, Any] = {
            "image_size": _one_image_size(image_size, options),
            "longer_side": _check_optional("longer_side", longer_side),
        }
        runtime_options = runtimes.RuntimeOptions(
            precision, mode, _check_optional("threads", threads), device
        )
        self._batch_size = _check_optional("batch_size", batch_size) or (
            THROUGHPUT_BATCH_SIZE if mode == "throughput" else 1
        )
        self._workers = check_count("workers", workers)
        settings = ModelSettings(runtime_options, levels, calibration, **sizes, options=options)
        source = model_source(model, settings)
        self.runtime, self._runtime = start_runtime(
            source, runtime, self._batch_size, sizes["image_size"]
        )
        self._image_shape = runtimes.image_shape(self._runtime)
        self.info: ModelInfo = replace(self._runtime.info, channels=self._image_shape[2])
        self._preprocess = preprocessor(self.info, **sizes)
        self._tiles = tiles_for(self.info, tiles)
        self._copies = augment_for(self.info, augment)
        self._process = os.getpid()

    def __reduce__(self) -> NoReturn:
        """Refuse pickling and copying: threads and compiled graphs can be neither."""
        raise TypeError(ONE_PROCESS)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs of `run`, such as the levels of a pyramid."""
        return self._runtime.output_names

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, numbered where the model has none; empty for features."""
        return self.info.class_names or ()

    def update_weights(self) -> None:
        """Load the current weights of the Keras model, such as after a training epoch.

        Nothing is compiled again.

        Raises:
            ValueError: if the runtime is not `"keras"`: the others have a copy of the model.
        """
        if self.runtime != "keras":
            raise ValueError(
                "`update_weights` needs runtime='keras'. "
                f"Received: runtime={self.runtime!r}: make a new Predictor."
            )
        self._runtime.update_weights()  # type: ignore[attr-defined]

    # Images.

    def __call__(self, images: Any) -> Any:
        """Return the result of one image, or the results of a list of images, in order.

        Args:
            images: a path, the bytes of an image file, a Pillow image, or an array
                `(height, width, 3)`, RGB in 0..255; or a list of them.

        Returns:
            For each image: a dict of arrays `(height, width, channels)` by level from a backbone,
            an array `(num_classes,)` of probabilities from a classifier, an array `(targets,)` of
            numbers in their units from a regressor, or `Detections` in pixels of the image from a
            detector.

        Raises:
            ImageError: if an image cannot be used; `stream` continues after it.
        """
        if _is_one_image(images) and self._tiles is not None:
            return self([images])[0]
        if _is_one_image(images):
            # Without threads, whose start would take longer than a small image.
            item = self._prepare(images)
            if isinstance(item.inputs, ImageError):
                raise item.inputs
            return self._infer([item])[0]
        with closing(self.stream(images)) as stream:
            results = []
            for _, result in stream:
                if isinstance(result, ImageError):
                    raise result
                results.append(result)
        return results

    def stream(self, images: Iterable[Any], with_pixels: bool = False) -> Results:
        """Predict any number of images, and yield each with its result, in order.

        At most about two batches per runtime stream are read before they are asked for. The
        iterable is consumed in the thread of the caller, and a result comes no sooner than the
        images that are prefetched after it: with a slow source, such as a camera, call the
        predictor on each image instead.

        Args:
            images: paths, bytes of image files, Pillow images, and arrays `(height, width, 3)`, RGB
                in 0..255.
            with_pixels: whether to yield the pixels, too, so that a file need not be
                decoded again to draw on it.

        Returns:
            A generator of tuples `(image, result)`: the image as it was given, and its result as
            of a call, or an `ImageError` if it cannot be used. With `with_pixels=True` of tuples
            `(image, result, pixels)`: pixels is a uint8 array `(height, width, 3)` of the decoded
            image, as the model takes it: the whole image for detectors, the center crop or the
            shrunk image for others; of an image too large to be decoded at once, at most 2048
            pixels wide and high. It is `None` for an image that cannot be used.

        Raises:
            ValueError: if `images` is one image, and not an iterable of them.
            Exception: what the iterable raises, after the results of the images before it.
        """
        if _is_one_image(images):
            raise ValueError(
                "`images` must be a list or another iterable of images. Received: "
                f"{reprlib.repr(images)}: call the predictor on one image."
            )
        if self._tiles is not None:
            return stream_tiles(self._stream_tiles, images, self._tiles, self.info, with_pixels)
        return self._stream(images, with_pixels, self._prepare)

    def _stream_tiles(self, tiles: Iterable[Tile]) -> Results:
        def prepare(tile: Tile) -> Item:
            given = tile._replace(pixels=None)  # whose memory is free as soon as possible
            if isinstance(tile.pixels, ImageError):
                return Item(given, tile.pixels, (0, 0), None)
            return self._prepare(tile.pixels)._replace(given=given)

        return self._stream(tiles, False, prepare)

    def _stream(
        self, images: Iterable[Any], with_pixels: bool, prepare_one: Callable[[Any], Item]
    ) -> Results:
        failures: list[Exception] = []

        def given() -> Generator[Any, None, None]:
            try:
                yield from images
            except Exception as error:
                failures.append(error)

        def prepare(given: Any) -> Item:
            item = prepare_one(given)
            # A whole image takes more memory than its letterboxed pixels.
            return item if with_pixels else item._replace(image=None)

        def infer(batch: list[Item]) -> list[tuple[Any, ...]]:
            results = zip(batch, self._infer(batch), strict=True)
            if with_pixels:
                return [(item.given, result, self._picture(item)) for item, result in results]
            return [(item.given, result) for item, result in results]

        streams = self._runtime.streams
        depth = max(self._batch_size, 2 * self._workers)
        with (
            thread_pool(self._workers) as readers,
            thread_pool(streams) as runners,
            closing(given()) as source,
        ):
            prepared = prefetch_map(prepare, source, readers, depth)
            grouped = batches(prepared, self._batch_size)
            for results in prefetch_map(infer, grouped, runners, streams):
                yield from results
        if failures:
            raise failures[0]

    def _picture(self, item: Item) -> np.ndarray | None:
        """Return the image of an item in RGB."""
        if self.info.channels == RGB or item.image is None:
            return item.image
        return as_picture(item.image)

    def _prepare(self, given: Any) -> Item:
        try:
            inputs, image = self._preprocess(given)
        except ImageError as error:
            return Item(given, error, (0, 0), None)
        item = Item(given, inputs, (image.shape[0], image.shape[1]), image)
        return with_copies(item, self._copies, self._preprocess) if self._copies else item

    def _infer(self, batch: list[Item]) -> list[Any]:
        """Return the results of a batch of items of one size, and the errors among them."""
        if self._copies:
            return infer_augmented(self._infer_once, batch, self._copies, self.info)
        return self._infer_once(batch)

    def _infer_once(self, batch: list[Item]) -> list[Any]:
        arrays = [item.inputs for item in batch if not isinstance(item.inputs, ImageError)]
        outputs = self.run(np.stack(arrays)) if arrays else {}
        rows = iter(range(len(arrays)))
        results: list[Any] = []
        for item in batch:
            if isinstance(item.inputs, ImageError):
                results.append(item.inputs)
            else:
                row = next(rows)
                one = {name: values[row] for name, values in outputs.items()}
                results.append(self._result(one, item))
        return results

    def _result(self, outputs: dict[str, np.ndarray], item: Item) -> Any:
        info = self.info
        if info.task == "classification":
            return outputs["probabilities"]
        if info.task == "regression":
            return outputs["targets"]
        if info.task == "detection" and not info.raw_outputs:
            if not takes_whole_images(info):
                assert info.image_size is not None
                pairs = zip(sides(info.image_size), item.image_size, strict=True)
                ratio = min(largest / side for largest, side in pairs)
                outputs = {**outputs, "boxes": outputs["boxes"] / np.float32(ratio)}
            path = Path(item.given) if isinstance(item.given, (str, Path)) else None
            return Detections.from_outputs(outputs, item.image_size, info.class_names, path)
        if info.task == "features" and info.data_format == "channels_first":
            return {name: values.transpose(1, 2, 0) for name, values in outputs.items()}
        return outputs

    # Preprocessed arrays.

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model on one batch of preprocessed images.

        Args:
            images: array `(batch, height, width, 3)`, RGB in 0..255, or with as many channels as
                the model has. Floats are rounded if the model takes uint8, as RGB models do, but
                not files that were exported for float32.

        Returns:
            The outputs by name: `probabilities`; `targets`; `boxes` in pixels of the images,
            `confidence`, `classes` and `num_detections`; or feature maps by level, in the model's
            data format.

        Raises:
            ValueError: if the images are not of the shape that the model takes.
            RuntimeError: in another process than the one that made the predictor.
        """
        if os.getpid() != self._process:
            raise RuntimeError(ONE_PROCESS)
        _check_images(images, self._image_shape)
        if self.info.inputs == "uint8" and images.dtype != np.uint8:
            images = np.rint(images).clip(0, 255)
        if self.info.data_format == "channels_first":
            images = images.transpose(0, 3, 1, 2)
        return self._runtime.run(np.ascontiguousarray(images, self.info.inputs))


def _check_optional(name: str, value: Any) -> int | None:
    return None if value is None else check_count(name, value)


def _one_image_size(
    image_size: ImageSize | None, options: DetectionOptions | None
) -> ImageSize | None:
    """Return the image size that is given by itself, in the options, or in both."""
    check_options(options)
    other = None if options is None else options.image_size
    if None not in (image_size, other) and image_size != other:
        raise ValueError(
            "`image_size` and `options.image_size` must be the same, or one of them be left out. "
            f"Received: {image_size=}, {options=}"
        )
    return other if image_size is None else image_size


def _is_one_image(images: Any) -> bool:
    """Whether this is one image, or meant as one, and not an iterable of them."""
    if isinstance(images, (str, bytes, Image.Image)) or not isinstance(images, Iterable):
        return True
    return getattr(images, "ndim", None) in (0, 2, 3)


def _check_images(images: Any, size: tuple[int | None, int | None, int]) -> None:
    """Accept a batch of images of a height, width and number of channels, `None` for any."""
    shape = tuple(getattr(images, "shape", ()))
    expected = (None, *size)
    fits = len(shape) == 4 and all(b in (None, a) for a, b in zip(shape, expected, strict=True))
    if not fits or 0 in shape:
        height, width, channels = size[0] or "height", size[1] or "width", size[2]
        received = f"the shape {shape}" if shape else f"a {type(images).__name__}"
        raise ValueError(
            f"`images` must be (batch, {height}, {width}, {channels}). Received: {received}"
        )
