"""Arguments and options that several commands share, and the model that MODEL names."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cspdarknet._keras import build_on_numpy
from cspdarknet.cli import choices
from cspdarknet.detections import DetectionOptions
from cspdarknet.score_thresholds import parse_score_threshold

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
    choices.choice(
        choices.RUNTIMES,
        help="The software that runs the model; fastest measures them. Default: the first of "
        "these that is installed and can run the model.",
    ),
]
PrecisionOption = Annotated[
    str,
    choices.choice(
        choices.PRECISIONS,
        help="Precision of the computation; bfloat16 where the processor supports it.",
    ),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(help="Side of the images in pixels. Default: the model's own size.", min=1),
]
BatchSizeOption = Annotated[int, typer.Option(help="Maximum number of images in a batch.", min=1)]
WorkersOption = Annotated[int, typer.Option(help="Number of threads that read images.", min=1)]
OnProblemOption = Annotated[
    str,
    choices.choice(
        choices.ON_PROBLEM,
        help="raise an error at invalid annotations, or fix them: clip boxes to their image and "
        "leave out what cannot be used.",
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
    choices.choice(
        choices.DATASET_FORMATS,
        metavar="FORMAT",
        help=f"Format of the dataset: {', '.join(choices.DATASET_FORMATS)}. Default: it is "
        "recognized.",
    ),
]
ScoreThresholdOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER|CLASS=NUMBER,...",
        help="Detectors: minimum confidence, such as 0.3; or those of some classes, such as "
        "cat=0.3,dog=0.5. Default: the model's.",
    ),
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
    score_threshold: str | None, iou_threshold: float | None, max_detections: int | None
) -> DetectionOptions | None:
    """Return the detection options that were given on the command line, if any."""
    scores: Any = parse_score_threshold(score_threshold)
    options = DetectionOptions(scores, iou_threshold, max_detections)
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
    from cspdarknet.inference.model_source import graph_runtimes

    may_run_keras = settings.get("runtime") in ("keras", "fastest")
    if not may_run_keras and graph_runtimes("float32")[0] != "keras":
        build_on_numpy()
    predictor = Predictor(model, **settings)
    if predictor.info.task != task:
        raise ValueError(
            f"{model} is a model for {predictor.info.task}, not for {task}: `cspdarknet predict` "
            "runs classifiers, `detect` runs detectors, and `features` runs backbones."
        )
    return predictor


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
