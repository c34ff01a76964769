"""What commands share: the model that an argument names, and the names of its classes."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cspdarknet.inference.model_source import default_runtime
from cspdarknet.model_info import is_exported_file
from cspdarknet.train.run_folder import model_folder

if TYPE_CHECKING:
    import keras

    from cspdarknet.inference.predictor import Predictor
    from cspdarknet.models import ImageClassifier, YOLOXDetector

RuntimeOption = Annotated[
    str | None,
    typer.Option(
        help="What runs the model: openvino, onnxruntime, keras, or fastest, which tries them. "
        "openvino if it is installed, and the file isn't an .onnx in int8; else keras, or "
        "onnxruntime for an exported file."
    ),
]
PrecisionOption = Annotated[
    str, typer.Option(help="float32, or bfloat16 where the processor has it.")
]


def load_classifier(source: str, which: str = "best") -> "ImageClassifier":
    """Return the classifier of a run folder, or a preset's."""
    from cspdarknet.models import ImageClassifier

    preset = model_folder(source, which)
    if is_detector(source, which):
        raise ValueError(
            f"{source} is a detector of objects: use `cspdarknet detect` or `evaluate`; "
            "or name a classifier."
        )
    return ImageClassifier.from_preset(preset)


def load_detector(source: str, which: str = "best") -> "YOLOXDetector":
    """Return the detector of a run folder, or a preset's; its boxes are left, top, right, bottom.

    Raises:
        ValueError: if it is a model of another kind.
    """
    from cspdarknet.models import YOLOXDetector

    preset = model_folder(source, which)
    if not is_detector(source, which):
        raise ValueError(
            f"{source} does not detect objects: name a preset of a detector, or a run folder of "
            "one that you trained on photos with boxes. Photos are classified by "
            "`cspdarknet predict`."
        )
    return YOLOXDetector.from_preset(preset, bounding_box_format="xyxy")


def is_detector(source: str, which: str = "best") -> bool:
    """Whether a run folder or a preset holds a detector; nothing but its config is fetched."""
    from cspdarknet.presets import sources

    return sources.find(model_folder(source, which), load_weights=False).is_detector


def names_of(model: "keras.Model") -> tuple[str, ...]:
    """Return the names of a model's classes, numbers where it has none."""
    return tuple(model.class_names or (f"class {i}" for i in range(model.num_classes)))


def load_predictor(
    source: str, task: str, runtime: str | None, **settings: Any
) -> tuple["Predictor", tuple[str, ...]]:
    """Return what runs a classifier or a detector on photos, and the names of its classes.

    Args:
        source: a run folder, a preset, or an exported file.
        task: what is wanted of it: `"classes"` or `"boxes"`.
        runtime: as of `Predictor`; `None` for the default.
        **settings: as of `Predictor`.

    Raises:
        ValueError: if it is a model of another kind, or a file without names of classes.
    """
    from cspdarknet.inference.predictor import Predictor

    model: Any = source
    if not is_exported_file(source):
        model = load_classifier(source) if task == "classes" else load_detector(source)
    predictor = Predictor(model, runtime=runtime or default_runtime(model), **settings)
    if predictor.description.task != task:
        raise ValueError(
            f"{source} gives {predictor.description.task}, not {task}: `cspdarknet predict` is for "
            "classifiers, `detect` for detectors, `features` for backbones."
        )
    names = predictor.description.class_names if model is source else names_of(model)
    if names is None:
        raise ValueError(f"{source} has no names of classes: export a model with `class_names`.")
    return predictor, tuple(names)
