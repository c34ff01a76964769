"""`WeightFile`: what a weight file is, and what would make it loadable if it is not."""

from dataclasses import dataclass
from pathlib import Path

from cspdarknet.checkpoints.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """What a weight file is, as far as its content tells; `None` stands for what it does not.

    Attributes:
        path: the file.
        description: what it is, such as `"a state dict of YOLOX"` or `"a Git LFS pointer"`.
        family: the software whose model it is, such as `"YOLOX"` or `"Ultralytics YOLO"`.
        version: version of that software.
        format: format of the file, such as `"PyTorch"`.
        task: `"features"`, `"classification"`, `"detection"` or `"regression"`.
        num_classes: number of classes.
        class_names: names of the classes.
        targets: names of the numbers of a regressor.
        image_size: side in pixels of the square images of a detector, or their height and width.
        input_convention: the images that the weights take: `"bgr"` or `"rgb"` (0..255), or
            `"normalized"` (RGB, with the mean and standard deviation of ImageNet).
        stem_magnitude: YOLOX: mean absolute weight of the stem with its batch normalization folded
            in, from which the input convention is inferred.
        activation: name of the activation.
        num_parameters: number of the weights, with the statistics of batch normalizations.
        channels: number of channels of the images.
        license: license of the weights, known by the SHA-256 of published files.
        sha256: SHA-256 of the file, if it was asked for.
        notes: what a user of the file should know.
        remedy: what to do with a file that cannot be loaded; `None` if it can be.
    """

    path: Path
    description: str
    family: str | None = None
    version: str | None = None
    format: str | None = None
    task: str | None = None
    num_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    image_size: int | tuple[int, int] | None = None
    input_convention: str | None = None
    stem_magnitude: float | None = None
    activation: str | None = None
    num_parameters: int | None = None
    channels: int | None = None
    license: str | None = None
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    remedy: str | None = None

    @property
    def is_loadable(self) -> bool:
        """Whether `load_model` loads the file."""
        return self.remedy is None


class ForeignFileError(CheckpointError):
    """A file is not one of the weight files that this package loads.

    Attributes:
        file: what the file is.
    """

    def __init__(self, file: WeightFile) -> None:
        super().__init__(f"{file.path} is {file.description}: {file.remedy}.")
        self.file = file


@dataclass(frozen=True)
class Kind:
    """A kind of file that is recognized, but not loaded.

    Attributes:
        description: as of `WeightFile`, such as `"an empty file"`.
        remedy: as of `WeightFile`, a clause.
        family: as of `WeightFile`.
        format: as of `WeightFile`.
    """

    description: str
    remedy: str
    family: str | None = None
    format: str | None = None

    def error(self, path: Path) -> ForeignFileError:
        """Return the error of a file of this kind."""
        return ForeignFileError(
            WeightFile(
                path=path,
                description=self.description,
                family=self.family,
                format=self.format,
                remedy=self.remedy,
            )
        )
