"""`FeatureExtractor`: feature maps of image files, written to a folder; resumable."""

import errno
import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cspdarknet._arguments import check_choice, check_count
from cspdarknet._files import OutputFolder, write_whole
from cspdarknet._prefetch import prefetch_map, thread_pool
from cspdarknet._unfinished import WriteError, make_folder
from cspdarknet.checkpoints.published import sha256_of
from cspdarknet.checkpoints.readers.safetensors import write_arrays
from cspdarknet.images import ImageError, ImageFile
from cspdarknet.inference.predictor import Predictor
from cspdarknet.model_info import is_exported_file, read_model_info
from cspdarknet.visualize import feature_picture

if TYPE_CHECKING:
    import keras

FORMATS = ("npz", "safetensors")
SETTINGS_FILE = "features.json"
# Arguments of a backbone that change none of its outputs, or that its weights tell.
SAME_OUTPUTS = ("name", "trainable", "frozen_layers", "dtype", "input_shape")
DEFAULT_LEVELS = ("P3", "P4", "P5")
LONGER_SIDE = 640
WAITING_WRITES = 2  # maximum number of results that wait to be written
# Errors that would occur with all other files, too, as those of a full disk.
FATAL_ERRORS = {errno.EACCES, errno.EIO}


@dataclass(frozen=True)
class FeatureResult:
    """The outcome of one image file.

    Attributes:
        file: the file.
        state: `"done"`, `"kept"` if its results are from an earlier run, or `"failed"`.
        message: why it failed.
    """

    file: ImageFile
    state: str
    message: str = ""


class FeatureExtractor:
    """Writes the feature maps of image files to a folder, one file per image.

    A file holds an array `(height, width, channels)` for each level, and `"vector"`, the spatial
    mean of the deepest level. Each file is written atomically, and one that is newer than
    its image is kept, so that a run can be stopped at any time and repeated.

    Args:
        model: a backbone, its `feature_pyramid()`, or a model with a backbone; anything that
            `load_model` takes, such as a preset name or a weight file; or an exported file of a
            backbone.
        out: folder of the results.
        levels: pyramid levels of the backbone; `None` for P3, P4 and P5, or those of a pyramid or
            an exported file.
        file_format: `"npz"` or `"safetensors"`.
        longer_side: maximum length of an image's longer side in pixels; larger images are shrunk,
            0 keeps their size. `None` is 640, or the center crop of a model with a fixed image
            size.
        picture: whether to write a picture of the image beside its feature maps, too.
        runtime: runtime of the `Predictor`.
        precision: precision of the `Predictor`.
        device: device of the `Predictor`.

    Attributes:
        predictor: the `Predictor` of the model.

    Raises:
        ValueError: if an argument is not of the form above, or `out` holds results of other
            settings or weights.

    Example:
        >>> from cspdarknet.images import find_images
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> extractor = FeatureExtractor("csp_darknet_tiny", "features", levels=["P3"])
        >>> for result in extractor.run(find_images(["sea.png"])):
        ...     print(result.file.path, result.state)
        sea.png done
        >>> np.load("features/sea.png.npz")["P3"].shape
        (6, 8, 96)
    """

    def __init__(
        self,
        model: "keras.Model | str | Path",
        out: str | Path,
        *,
        levels: Sequence[str | int] | None = None,
        file_format: str = "npz",
        longer_side: int | None = None,
        picture: bool = False,
        runtime: str | None = None,
        precision: str = "float32",
        device: str = "auto",
    ) -> None:
        self.file_format = check_choice("file_format", file_format, FORMATS)
        if longer_side is not None:
            longer_side = check_count("longer_side", longer_side, least=0)
        source, levels = _feature_model(model, levels)
        if longer_side is None:
            longer_side = 0 if _has_fixed_size(source) else LONGER_SIDE
        # Each image has a size of its own, and so is a batch of its own: one for each thread.
        self.predictor = Predictor(
            source,
            runtime=runtime,
            precision=precision,
            device=device,
            mode="throughput",
            batch_size=1,
            longer_side=longer_side or None,
            levels=levels,
        )
        if self.predictor.info.task != "features":
            raise ValueError(
                "Features are those of a backbone: pass or export the backbone, or its "
                f"`feature_pyramid()`. Received: {model}, a model for {self.predictor.info.task}"
            )
        names = self.predictor.output_names
        self._deepest = max(names, key=lambda name: int(name[1:]) if name[1:].isdecimal() else 0)
        self.out = Path(out)
        self.picture = picture
        self._settings = {
            "levels": names,
            "longer_side": longer_side,
            "weights_sha256": weights_sha256(source),
            "config_sha256": config_sha256(source),
            "precision": precision,
        }
        self._folder = OutputFolder(self.out)
        if (self.out / SETTINGS_FILE).exists():
            self._check_settings()

    def _check_settings(self) -> None:
        """Compare the settings with those of an earlier run."""
        stored = self._folder.read_json(SETTINGS_FILE)
        own = dict(self._settings)
        if not stored.get("config_sha256") or not own["config_sha256"]:  # unknown: fits any
            stored["config_sha256"] = own["config_sha256"] = ""
        if stored != own:
            raise ValueError(
                f"`out` must not hold features of other settings or weights. Received: {self.out} "
                f"with {stored}, to which {self._settings} would be added: choose another folder."
            )

    def _claim_folder(self, files: Sequence[ImageFile]) -> None:
        """Write the settings into a new folder, in which no result may replace another file."""
        if (self.out / SETTINGS_FILE).exists():
            return
        for target in (target for file in files for target in self._targets(file)):
            if os.path.exists(target):  # noqa: PTH110  (a name that is too long is not an error)
                raise ValueError(
                    f"{target} exists, and is not the result of an earlier run: choose another "
                    "folder."
                )
        self._folder.write_json(SETTINGS_FILE, self._settings)

    def run(self, files: Sequence[ImageFile]) -> Iterator[FeatureResult]:
        """Extract the features of image files, and yield the outcome of each, in order.

        Args:
            files: the files, as of `find_images`. One that cannot be read does not stop the run.

        Raises:
            ValueError: if a result would replace a file that is not the result of an earlier run.
            OSError: if no results can be written any more, such as on a full disk.
        """
        self._claim_folder(files)
        queue: deque[FeatureResult | ImageFile] = deque()

        def unfinished() -> Iterator[Path]:
            for file in files:
                known = self._known_result(file)
                queue.append(known or file)
                if known is None:
                    yield file.path

        def in_order() -> Iterator[tuple[FeatureResult | ImageFile, Any, Any]]:
            for _, features, pixels in stream:
                while isinstance(queue[0], FeatureResult):
                    yield queue.popleft(), None, None
                yield queue.popleft(), features, pixels
            yield from ((result, None, None) for result in queue)

        # A thread writes while the model runs; Ctrl-C does not interrupt it within a file.
        with (
            closing(self.predictor.stream(unfinished(), with_pixels=True)) as stream,
            thread_pool(1) as writer,
        ):
            yield from prefetch_map(self._finish, in_order(), writer, WAITING_WRITES)

    def _known_result(self, file: ImageFile) -> FeatureResult | None:
        """Return the result of a file that is up to date or missing; `None` for other files."""
        try:
            return FeatureResult(file, "kept") if self._is_current(file) else None
        except OSError as error:
            return _failed(file, error)

    def _finish(self, work: tuple[FeatureResult | ImageFile, Any, Any]) -> FeatureResult:
        """Write the features of a file, unless its result is known."""
        file, features, pixels = work
        if isinstance(file, FeatureResult):
            return file
        if isinstance(features, ImageError):
            return FeatureResult(file, "failed", str(features))
        try:
            self._write(file, features, pixels)
            return FeatureResult(file, "done")
        except OSError as error:
            return _failed(file, error)

    def _targets(self, file: ImageFile) -> list[Path]:
        suffixes = [f".{self.file_format}"] + [".png"] * self.picture
        return [self.out / file.key.with_name(file.key.name + suffix) for suffix in suffixes]

    def _is_current(self, file: ImageFile) -> bool:
        targets = self._targets(file)
        if not all(target.exists() and target.stat().st_size for target in targets):
            return False
        return min(t.stat().st_mtime for t in targets) >= file.path.stat().st_mtime

    def _write(self, file: ImageFile, maps: dict[str, np.ndarray], pixels: np.ndarray) -> None:
        arrays = {**maps, "vector": maps[self._deepest].mean(axis=(0, 1))}
        target, *picture = self._targets(file)
        make_folder(target.parent)
        write_whole(target, lambda part: self._write_arrays(part, arrays))
        if picture:
            image = feature_picture(pixels, maps)
            write_whole(picture[0], lambda part: image.save(part, format="PNG"))

    def _write_arrays(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        if self.file_format == "npz":
            with path.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        else:
            write_arrays(path, arrays)


def _feature_model(
    model: "keras.Model | str | Path", levels: Sequence[str | int] | None
) -> tuple["keras.Model | str | Path", Sequence[str | int] | None]:
    """Return the model for the `Predictor`, and the levels to select from it."""
    if is_exported_file(model):
        return model, levels
    if isinstance(model, (str, Path)):
        from cspdarknet.models import load_model

        model = load_model(model, "features")
    backbone = getattr(model, "backbone", model)
    if not hasattr(backbone, "feature_pyramid"):
        return model, levels
    available = backbone.pyramid_level_inputs
    return backbone, levels or [level for level in DEFAULT_LEVELS if level in available]


def _has_fixed_size(model: "keras.Model | str | Path") -> bool:
    """Whether a file or a Keras model takes images of one size only."""
    if isinstance(model, (str, Path)):
        info = read_model_info(model)
        return info is not None and info.image_size is not None
    return None not in model.inputs[0].shape[1:]


def _failed(file: ImageFile, error: OSError) -> FeatureResult:
    """Return the result of a failed file, or raise an error that all others would cause, too."""
    if isinstance(error, WriteError) or error.errno in FATAL_ERRORS:
        raise error
    return FeatureResult(file, "failed", f"{file.path}: {error.strerror}.")


def weights_sha256(model: "keras.Model | str | Path") -> str:
    """Return the SHA-256 of a model's weights, in hexadecimal digits."""
    if isinstance(model, (str, Path)):
        path = Path(model)
        return sha256_of(path.with_suffix(".bin") if path.suffix == ".xml" else path)
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array, "float32").tobytes())
    return digest.hexdigest()


def config_sha256(model: "keras.Model | str | Path | Mapping[str, Any]") -> str:
    """Return the SHA-256 of those arguments of a backbone that its weights do not tell.

    Args:
        model: a backbone, or its arguments. The result is empty for other models, and for exported
            files, whose content has them.
    """
    if isinstance(model, Mapping):
        config = model
    elif isinstance(model, (str, Path)) or not hasattr(model, "feature_pyramid"):
        return ""
    else:
        config = model.get_config()
    config = {name: value for name, value in config.items() if name not in SAME_OUTPUTS}
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
