"""Extract the features of photos into files: one file for each photo, resumable."""

import errno
import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet._files import write_whole
from cspdarknet._prefetch import prefetch_map, threads
from cspdarknet.images import ImageError, ImageFile
from cspdarknet.inference.model_source import has_one_size
from cspdarknet.inference.predictor import Predictor
from cspdarknet.model_info import is_exported_file, read_model_info
from cspdarknet.preprocessing import check_count, preparation
from cspdarknet.presets.download import sha256_of
from cspdarknet.visualize import feature_picture

if TYPE_CHECKING:
    import keras

FORMATS = ("npz", "safetensors")
SETTINGS_FILE = "features.json"
LONGER_SIDE = 640
WRITTEN_AHEAD = 2  # results that may wait to be written
# Errors that every further photo would meet too.
NO_USE_GOING_ON = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO}


@dataclass(frozen=True)
class Result:
    """What became of one photo: `"done"`, `"kept"` from an earlier run, or `"failed"`."""

    photo: ImageFile
    state: str
    message: str = ""


class FeatureExtractor:
    """Writes the features of photos into a folder.

    Each result appears whole or not at all, and one that is newer than its photo is kept, so that a
    run can be stopped at any time and repeated.

    Args:
        model: a backbone's `feature_pyramid()`, or a file that such a one was exported to.
        out: folder for the results.
        file_format: `"npz"` or `"safetensors"`.
        longer_side: photos larger than this are shrunk to it; 0 keeps them as they are. `None` is
            640, or 0 for a model whose images have one size: it looks at the square in the middle.
        picture: also draw a picture of the photo beside its features.
        runtime: what runs the model, as of `cspdarknet.export.Predictor`.
        precision: likewise.

    Raises:
        ValueError: if the format is unknown, or `out` holds results of other settings or weights.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> backbone = CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
        >>> extractor = FeatureExtractor(backbone.feature_pyramid(), "features")
        >>> for result in extractor.run(find_images(["sea.png"])):
        ...     print(result.photo.path, result.state)
        sea.png done
    """

    def __init__(
        self,
        model: "keras.Model | str | Path",
        out: str | Path,
        file_format: str = "npz",
        longer_side: int | None = None,
        picture: bool = False,
        runtime: str = "keras",
        precision: str = "float32",
    ) -> None:
        output = {} if isinstance(model, (str, Path)) else model.output
        if not isinstance(output, dict):
            raise ValueError("`model` must be what a backbone's `feature_pyramid()` returns.")
        if file_format not in FORMATS:
            raise ValueError(f"The format must be one of {FORMATS}. Received: {file_format!r}")
        _check_task(model)
        if longer_side is None:
            longer_side = 0 if has_one_size(model) else LONGER_SIDE
        longer_side = check_count("longer_side", longer_side, least=0)
        if file_format == "safetensors":
            require("safetensors", "safetensors", "Writing .safetensors files")
        # Photos of all sizes, each on its own: a thread for each of them.
        self.predictor = Predictor(
            model,
            runtime=runtime,
            precision=precision,
            mode="throughput",
            batch_size=1,
            longer_side=longer_side or None,
        )
        levels = list(output) or self.predictor.output_names
        self._deepest = max(levels, key=lambda level: int(level[1:]) if level[0] == "P" else 0)
        self.out = Path(out)
        self.file_format = file_format
        self.picture = picture
        self._pixels = preparation(self.predictor.description, longer_side=longer_side or None)
        self._claim_folder(
            {
                "levels": levels,
                "longer_side": longer_side,
                "weights_sha256": _fingerprint(model),
                # Left out as in folders of earlier versions.
                **({} if precision == "float32" else {"precision": precision}),
            }
        )

    def _claim_folder(self, wanted: dict[str, Any]) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / SETTINGS_FILE
        if path.exists():
            try:
                found = json.loads(path.read_text())
            except ValueError as error:
                raise ValueError(f"{path} is damaged ({error}): remove it.") from error
            if found != wanted:
                raise ValueError(
                    f"{self.out} holds features of other settings or weights ({found}): choose "
                    "another folder."
                )
        else:
            write_whole(path, lambda part: part.write_text(json.dumps(wanted, indent=2) + "\n"))

    def run(self, photos: Sequence[ImageFile]) -> Iterator[Result]:
        """Work through the photos, yielding what became of each; a bad photo does not stop it."""
        settled: deque[Result | ImageFile] = deque()

        def open_ones() -> Iterator[Path]:
            for photo in photos:
                before = self._before(photo)
                settled.append(before or photo)
                if before is None:
                    yield photo.path

        def in_order() -> Iterator[tuple[Result | ImageFile, Any]]:
            for _, found in self.predictor.stream(open_ones()):
                while isinstance(settled[0], Result):
                    yield settled.popleft(), None
                yield settled.popleft(), found
            yield from ((result, None) for result in settled)

        # Files are written while the model runs, and where no Ctrl-C comes into the middle of it.
        with threads(1) as writer:
            yield from prefetch_map(self._after, in_order(), writer, WRITTEN_AHEAD)

    def _before(self, photo: ImageFile) -> Result | None:
        """Return what is known of a photo before it is read."""
        try:
            return Result(photo, "kept") if self._is_current(photo) else None
        except OSError as error:
            return _failed(photo, error)

    def _after(
        self, work: tuple[Result | ImageFile, dict[str, np.ndarray] | ImageError | None]
    ) -> Result:
        """Write what was found in a photo, unless its result is known already."""
        photo, found = work
        if isinstance(photo, Result):
            return photo
        if isinstance(found, ImageError):
            return Result(photo, "failed", str(found))
        try:
            self._keep(photo, found)  # type: ignore[arg-type]
            return Result(photo, "done")
        except (OSError, ImageError) as error:
            return _failed(photo, error)

    def _targets(self, photo: ImageFile) -> list[Path]:
        suffixes = [f".{self.file_format}"] + [".png"] * self.picture
        return [self.out / photo.key.with_name(photo.key.name + suffix) for suffix in suffixes]

    def _is_current(self, photo: ImageFile) -> bool:
        targets = self._targets(photo)
        if not all(target.exists() and target.stat().st_size for target in targets):
            return False
        return min(t.stat().st_mtime for t in targets) >= photo.path.stat().st_mtime

    def _keep(self, photo: ImageFile, maps: dict[str, np.ndarray]) -> None:
        arrays = {**maps, "vector": maps[self._deepest].mean(axis=(0, 1))}
        target, *picture = self._targets(photo)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, lambda part: self._write(part, arrays))
        if picture:
            image = feature_picture(self._pixels(photo.path)[0], maps)
            write_whole(picture[0], lambda part: image.save(part, format="PNG"))

    def _write(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        if self.file_format == "npz":
            with path.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        else:
            numpy_files = require("safetensors.numpy", "safetensors", "Writing .safetensors files")
            numpy_files.save_file(arrays, path)


def _check_task(model: "keras.Model | str | Path") -> None:
    """Accept files of backbones, before one is started."""
    about = read_model_info(model) if is_exported_file(model) else None
    if about is not None and about.task != "features":
        raise ValueError(
            "Features are a backbone's: export one, or its `feature_pyramid()`. "
            f"Received: {model}, which gives {about.task}"
        )


def _failed(photo: ImageFile, error: OSError | ImageError) -> Result:
    """Return that a photo failed, unless every further one would, too."""
    if isinstance(error, ImageError):
        return Result(photo, "failed", str(error))
    if error.errno in NO_USE_GOING_ON:
        raise error
    return Result(photo, "failed", f"{photo.path}: {error.strerror}.")


def _fingerprint(model: "keras.Model | str | Path") -> str:
    """Tell this model's weights from any others."""
    if isinstance(model, (str, Path)):
        path = Path(model)
        return sha256_of(path.with_suffix(".bin") if path.suffix == ".xml" else path)
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array, "float32").tobytes())
    return digest.hexdigest()
