"""Conversion of a model between the formats of weight files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from cspdarknet._arguments import check_choice
from cspdarknet._files import write_whole
from cspdarknet._unfinished import make_folder
from cspdarknet.checkpoints.architecture import backbone_of
from cspdarknet.checkpoints.input_conventions import BGR
from cspdarknet.checkpoints.published import license_of, sha256_of
from cspdarknet.checkpoints.writers import WRITERS
from cspdarknet.models.load import TASKS, build_model
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.save import save_preset
from cspdarknet.presets.sources import PresetFiles, find


def convert(
    source: str | Path,
    destination: str | Path,
    task: str | None = None,
    class_names: Sequence[str] | None = None,
    *,
    input_convention: str | None = None,
    activation: str | None = None,
) -> keras.Model:
    """Load a model, and save it in another format.

    A preset folder also gets the origin of the weights (name, format, license, SHA-256, and the
    input convention and activation of a file of YOLOX) and reference outputs for `verify`.

    Args:
        source: preset name, preset folder, run folder, weight file or hub address, as in
            `load_model`.
        destination: as in `save`.
        task: `"features"` to convert the backbone alone; `None` for the whole model.
        class_names: names of the classes in the order of their ids, for a model that has none.
        input_convention: the images that a file of YOLOX was trained on: `"bgr"` (YOLOX's own) or
            `"rgb"` for values of 0..255; `"normalized"` for RGB images with the mean and standard
            deviation of ImageNet, as in YOLOX 0.0.1 and re-implementations.
        activation: the activation of a `.pth` file of YOLOX, one of `layers.ACTIVATIONS`.

    Returns:
        The model.

    Raises:
        ValueError: if the source cannot be loaded, or the format cannot hold the model.

    Example:
        >>> convert("csp_darknet_tiny_clothing", "backbone.safetensors", "features").count_params()
        2380416
    """
    check_choice("task", task, TASKS)
    files = find(source)
    if activation is not None and "activation" not in files.config.assumed:
        files.close()
        raise ValueError(
            "`activation` is for weight files of YOLOX that do not state it, such as .pth. "
            f"Received: activation={activation!r} for {files.origin!r}: leave it out."
        )
    options = {
        "class_names": class_names,
        "input_convention": input_convention,
        "activation": activation,
    }
    given = {name: value for name, value in options.items() if value is not None}
    model = build_model(files, task, **given)
    save(model, destination, _origin(files, model, input_convention))
    return model


def save(model: keras.Model, destination: str | Path, source: dict[str, Any] | None = None) -> None:
    """Write a model in the format of the destination's suffix.

    Args:
        model: a `CSPDarkNetBackbone`, or an `ImageClassifier`, `ImageRegressor` or
            `YOLOXDetector` with one.
        destination: `.safetensors`, `.keras`, `.weights.h5`, `.pth` (a state dict of YOLOX, or of
            its CSPDarknet for a backbone), or a path without suffix for a preset folder. The file
            is written atomically.
        source: where the weights come from, for the metadata of a preset folder.

    Raises:
        ValueError: if the suffix is unknown, or the format cannot hold the model.

    Example:
        >>> backbone = CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)
        >>> save(backbone, "my.safetensors")
    """
    backbone_of(model)
    path = Path(destination)
    if not path.suffix or path.is_dir():
        save_preset(model, path, source)
        return
    if path.suffix not in WRITERS:
        raise ValueError(
            f"The suffix of a weight file must be one of {', '.join(WRITERS)}; a path without "
            f"suffix is a preset folder. Received: {path}"
        )
    if path.suffix == ".h5" and not path.name.endswith(".weights.h5"):
        raise ValueError(f"A Keras weight file must end in .weights.h5. Received: {path}")
    make_folder(path.parent)
    write_whole(path, lambda part: WRITERS[path.suffix](model, part))


def _origin(files: PresetFiles, model: keras.Model, input_convention: str | None) -> dict[str, Any]:
    """Return what is known of a model's origin: name, format, license and SHA-256."""
    record = PRESETS.get(files.origin)
    if record is not None or files.weights is None:
        return {"name": files.origin, "license": record.license if record else "unknown"}
    sha256 = sha256_of(files.weights.path)
    origin = {
        "name": Path(files.origin).name if Path(files.origin).exists() else files.origin,
        "format": files.weights.format,
        # The format does not tell whose weights they are: only published files are known.
        "license": license_of(sha256) or "unknown",
        "sha256": sha256,
    }
    if files.weights.read_as is not None:
        origin |= {
            "input_convention": input_convention or BGR,
            "activation": backbone_of(model).activation,
        }
    return origin
