"""The forms of results by name, and their files in a folder."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cspdarknet._arguments import check_choice
from cspdarknet._extras import require
from cspdarknet.inference.result_formats import coco, label_studio, tables, voc, yolo
from cspdarknet.inference.result_formats.results import FileDetections


class ResultFormat(NamedTuple):
    """A form of detection results.

    Attributes:
        outputs: names of its files and folders.
        write: writes them into a folder, from the results and the names of the classes.
        is_by_image: whether there is a file for each image, named like it without its suffix.
        takes_videos: whether it can hold the frames of videos.
    """

    outputs: tuple[str, ...]
    write: Callable[[Path, Iterable[FileDetections], Sequence[str]], None]
    is_by_image: bool = False
    takes_videos: bool = True


RESULT_FORMATS = {
    "json": ResultFormat(
        ("detections.json",), lambda d, r, n: coco.write_coco(d / "detections.json", r, n)
    ),
    "coco": ResultFormat(
        ("coco_results.json",),
        lambda d, r, n: coco.write_coco_results(d / "coco_results.json", r, n),
    ),
    "csv": ResultFormat(
        ("detections.csv",), lambda d, r, _: tables.write_csv(d / "detections.csv", r)
    ),
    "parquet": ResultFormat(
        ("detections.parquet",),
        lambda d, r, n: tables.write_parquet(d / "detections.parquet", r, n),
    ),
    "yolo": ResultFormat((yolo.LABELS, yolo.CLASSES), yolo.write_yolo, is_by_image=True),
    "voc": ResultFormat((voc.ANNOTATIONS,), voc.write_voc, is_by_image=True),
    "labelstudio": ResultFormat(
        (label_studio.TASKS, label_studio.CONFIG),
        label_studio.write_label_studio,
        takes_videos=False,
    ),
}


def check_result_formats(
    names: Sequence[str], images: Iterable[Path] = (), videos: Iterable[Path] = ()
) -> tuple[str, ...]:
    """Check that results can be written in some forms, before any image is read.

    Args:
        names: names of `RESULT_FORMATS`.
        images: the keys of the images: their paths relative to the source.
        videos: the keys of the videos.

    Returns:
        The names without repetitions.

    Raises:
        ValueError: if there is no such form, or it cannot hold the results of these files.
        ImportError: if a package is missing that writes it.
    """
    images, videos = list(images), list(videos)
    for name in names:
        check_choice("format", name, list(RESULT_FORMATS))
        if videos and not RESULT_FORMATS[name].takes_videos:
            raise ValueError(
                f"The format {name!r} is for images. Received: the video {videos[0]}: choose "
                "another format."
            )
        if RESULT_FORMATS[name].is_by_image:
            _check_stems(name, [*images, *videos])
    if "parquet" in names:
        require("pyarrow", "parquet", "Writing Parquet")
    return tuple(dict.fromkeys(names))


def _check_stems(name: str, keys: Iterable[Path]) -> None:
    by_stem: dict[Path, Path] = {}
    for key in keys:
        other = by_stem.setdefault(key.with_suffix(""), key)
        if other != key:
            raise ValueError(
                f"The format {name!r} needs images whose names differ not only in the suffix, "
                f"since its files are named after them. Received: {other} and {key}: rename one, "
                "or choose another format, such as csv."
            )


def write_results(
    folder: str | Path,
    formats: Sequence[str],
    results: Iterable[FileDetections],
    class_names: Sequence[str],
    coco_annotations: Path | None = None,
) -> list[Path]:
    """Write detections into a folder in one form or more, each as a whole.

    Args:
        folder: the folder, which is made if it is missing. Earlier results are replaced.
        formats: names of `RESULT_FORMATS`.
        results: the detections in images and frames, which are read more than once: no iterator.
        class_names: names of the classes.
        coco_annotations: the COCO file whose ids of images and categories the form `"coco"` uses.

    Returns:
        The files and folders that were written.

    Raises:
        ValueError: if there is no such form, or an image or a class is not in the annotations.

    Example:
        >>> detections = Detections([[2, 3, 12, 14]], [0.9], [0], (40, 60), ["cell"])
        >>> results = [FileDetections(Path("smears/a.png"), detections)]
        >>> [str(path) for path in write_results("out", ["yolo", "csv"], results, ["cell"])]
        ['out/labels', 'out/classes.txt', 'out/detections.csv']
        >>> Path("out/labels/a.txt").read_text().split()
        ['0', '0.1166667', '0.2125000', '0.1666667', '0.2750000', '0.900000']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in check_result_formats(formats):
        outputs = [folder / output for output in RESULT_FORMATS[name].outputs]
        if name == "coco":
            coco.write_coco_results(outputs[0], results, class_names, coco_annotations)
        else:
            RESULT_FORMATS[name].write(folder, results, class_names)
        written += outputs
    return written
