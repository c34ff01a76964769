"""Arguments and options that several commands share, and the model that MODEL names."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cspdarknet.detections import DetectionOptions
from cspdarknet.model_info import is_exported_file

if TYPE_CHECKING:
    from cspdarknet.inference import Predictor

INTERRUPTED = 130  # exit status of a program that was ended by Ctrl-C

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A preset name or folder, a run folder, a weight file, kaggle://… or hf://…; "
        "or, for commands that only run the model, an exported .onnx or .xml file.",
    ),
]
ImagesArgument = Annotated[
    list[Path], typer.Argument(metavar="IMAGES...", help="Image files, or folders of them.")
]
RuntimeOption = Annotated[
    str | None,
    typer.Option(
        help="openvino, onnxruntime or keras; or fastest, which measures them. Default: the first "
        "of these that is installed and can run the model."
    ),
]
PrecisionOption = Annotated[
    str, typer.Option(help="float32, or bfloat16 where the processor supports it.")
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(help="Side of the images in pixels. Default: the model's own size.", min=1),
]
BatchSizeOption = Annotated[int, typer.Option(help="Maximum number of images in a batch.", min=1)]
WorkersOption = Annotated[int, typer.Option(help="Number of threads that read images.", min=1)]
OnProblemOption = Annotated[
    str,
    typer.Option(
        help="raise an error at invalid annotations, or fix them: clip boxes to their image and "
        "leave out what cannot be used."
    ),
]
ClassNamesOption = Annotated[
    str | None,
    typer.Option(
        help="Names of the model's classes in the order of their ids, such as cat,dog, if the "
        "model has none."
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(help="Format of the dataset, such as coco. Default: it is recognized."),
]
ScoreThresholdOption = Annotated[
    float | None,
    typer.Option(help="Detectors: minimum confidence. Default: the model's.", min=0, max=1),
]
IoUThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--iou-threshold",
        help="Detectors: IoU threshold of NMS. Default: the model's.",
        min=0,
        max=1,
    ),
]
MaxDetectionsOption = Annotated[
    int | None,
    typer.Option(help="Detectors: maximum number of detections per image.", min=1),
]


def detection_options(
    score_threshold: float | None, iou_threshold: float | None, max_detections: int | None
) -> DetectionOptions | None:
    """Return the detection options that were given on the command line, if any."""
    options = DetectionOptions(score_threshold, iou_threshold, max_detections)
    return None if options == DetectionOptions() else options


def load_predictor(model: str, task: str, **settings: Any) -> "Predictor":
    """Return a `Predictor` of a model for one task.

    Args:
        model: the argument MODEL.
        task: `"classification"`, `"detection"` or `"features"`.
        **settings: arguments of `Predictor`.

    Raises:
        ValueError: if the model is for another task.
    """
    from cspdarknet.inference import Predictor

    source: Any = model
    if not is_exported_file(model):
        from cspdarknet.checkpoints.architecture import task_of
        from cspdarknet.models import load_model

        source = load_model(model)
        _check_task(model, task_of(source), task)
    predictor = Predictor(source, **settings)
    _check_task(model, predictor.info.task, task)
    return predictor


def _check_task(model: str, task: str, expected: str) -> None:
    if task != expected:
        raise ValueError(
            f"{model} is a model for {task}, not for {expected}: `cspdarknet predict` runs "
            "classifiers, `detect` runs detectors, and `features` runs backbones."
        )


def given_class_names(text: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the class names of an option such as `cat,dog`, or those of the model.

    Raises:
        ValueError: if there are more or fewer than the model has classes.
    """
    if text is None:
        return known
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != len(known):
        raise ValueError(
            f"`--class-names` must name the {len(known)} classes of the model. Received: {text}"
        )
    return names


def level_names(levels: str | None, backbone: Any) -> list[str] | None:
    """Return the pyramid levels of an option such as `P3,P5` or `all`; `None` if not given."""
    if levels is None:
        return None
    if levels == "all":
        return list(backbone.pyramid_level_inputs)
    return [name.strip() for name in levels.split(",")]


def check_results_file(path: Path | None, *suffixes: str) -> None:
    """Check that a file for results can be written, before any work is done.

    Raises:
        ValueError: if its folder is missing, it is a folder, or its suffix is not accepted.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ValueError(f"The folder of {path} does not exist: create {path.parent} first.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file for the results.")
    if suffixes and path.suffix not in suffixes:
        raise ValueError(f"The results file must end in {' or '.join(suffixes)}. Received: {path}")
