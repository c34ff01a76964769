"""Arguments and options that several commands share, and the model that MODEL names."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cspdarknet._arguments import MAX_IMAGE_SIZE, check_count
from cspdarknet._image_size import ImageSize, parse_image_size
from cspdarknet._keras import build_on_numpy
from cspdarknet.cli import choices
from cspdarknet.detections import DetectionOptions
from cspdarknet.score_thresholds import parse_score_threshold
from cspdarknet.tiles import DEFAULT_OVERLAP, LEAST_SIZE, Tiles

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
    list[str], typer.Argument(metavar="IMAGES...", help="Image files, or folders of them.")
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
DeviceOption = Annotated[
    str,
    choices.choice(
        choices.DEVICES,
        help="The processor, or a GPU of NVIDIA: cuda with ONNX Runtime for GPUs or Keras, "
        "tensorrt with ONNX Runtime. auto takes a GPU if the installed software can use it.",
    ),
]


def _parsed_image_size(text: str) -> ImageSize:
    try:
        return parse_image_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def image_size_option(help: str) -> Any:
    """Return an option for a number of pixels, or height and width, such as 384x640."""
    return typer.Option(
        "--image-size", parser=_parsed_image_size, metavar="PIXELS|HEIGHTxWIDTH", help=help
    )


ImageSizeOption = Annotated[
    Any,
    image_size_option(
        "Side of the images in pixels, or height and width, such as 384x640. Default: the model's "
        "own size."
    ),
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
MaxDetectionsPerClassOption = Annotated[
    int | None,
    typer.Option(help="Detectors: maximum number of detections of each class in an image.", min=1),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS,...",
        help="Detectors: the classes to detect, by name or id, such as cat,dog. Default: all.",
    ),
]
ClassAgnosticNMSOption = Annotated[
    bool | None,
    typer.Option(
        "--class-agnostic-nms/--class-aware-nms",
        help="Detectors: whether NMS drops overlapping boxes of other classes, too. Default: the "
        "model's.",
        show_default=False,
    ),
]
TileOption = Annotated[
    int | None,
    typer.Option(
        "--tile",
        metavar="PIXELS",
        help="Detectors: side of overlapping tiles that large images are cut into. Default: images "
        "are shrunk to the model's size.",
    ),
]
OverlapOption = Annotated[
    float | None,
    typer.Option(help="Overlap of the tiles, as a fraction of --tile. Default: 0.2."),
]
WithWholeOption = Annotated[
    bool,
    typer.Option(
        "--with-whole", help="With --tile: use the whole image, shrunk, too, for large objects."
    ),
]
AugmentOption = Annotated[
    bool,
    typer.Option(
        "--augment",
        help="Predict each image flipped, too: detections are merged, probabilities averaged. It "
        "takes twice the time.",
    ),
]


def detection_options(
    score_threshold: str | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
    classes: str | None = None,
    class_agnostic_nms: bool | None = None,
    max_detections_per_class: int | None = None,
) -> DetectionOptions | None:
    """Return the detection options that were given on the command line, if any."""
    scores: Any = parse_score_threshold(score_threshold)
    options = DetectionOptions(
        scores,
        iou_threshold,
        max_detections,
        classes=None if classes is None else [name.strip() for name in classes.split(",")],
        class_agnostic_nms=class_agnostic_nms,
        max_detections_per_class=max_detections_per_class,
    )
    return None if options == DetectionOptions() else options


def given_tiles(tile: int | None, overlap: float | None, with_whole: bool) -> dict[str, Tiles]:
    """Return the options of tiles as an argument `tiles`; nothing if they are not given.

    Raises:
        ValueError: if a value is out of range, or given without `--tile`.
    """
    if tile is None:
        if overlap is not None or with_whole:
            name = "--with-whole" if overlap is None else f"--overlap {overlap}"
            raise ValueError(f"`{name}` needs `--tile`, such as --tile 640. Received: no --tile")
        return {}
    check_count("--tile", tile, least=LEAST_SIZE, most=MAX_IMAGE_SIZE)
    return {"tiles": Tiles(tile, DEFAULT_OVERLAP if overlap is None else overlap, with_whole)}


def load_predictor(model: str, *tasks: str, **settings: Any) -> "Predictor":
    """Return a `Predictor` of a model for one of some tasks.

    Args:
        model: the argument MODEL.
        *tasks: some of `"classification"`, `"detection"`, `"features"` and `"regression"`.
        **settings: arguments of `Predictor`.

    Raises:
        ValueError: if the model is for another task.
    """
    from cspdarknet.inference import Predictor
    from cspdarknet.inference.model_source import graph_runtimes

    may_run_keras = settings.get("runtime") in ("keras", "fastest")
    may_run_keras |= settings.get("device") == "cuda"
    if not may_run_keras and graph_runtimes("float32")[0] != "keras":
        build_on_numpy()
    predictor = Predictor(model, **settings)
    if predictor.info.task not in tasks:
        raise ValueError(
            f"{model} is a model for {predictor.info.task}, not for {' or '.join(tasks)}: "
            "`cspdarknet predict` runs classifiers and regressors, `detect` runs detectors, and "
            "`features` runs backbones."
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
