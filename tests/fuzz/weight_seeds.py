"""Small valid weight files of every form, which the fuzzer changes."""

import io
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np

from cspdarknet import conversion
from cspdarknet.checkpoints.readers import keras2, keras3
from cspdarknet.checkpoints.targets import collect
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from onnx_files import yolox_onnx
from support import randomize

NET = {"stackwise_channels": [4, 6, 8], "stackwise_depth": [1, 2, 1], "include_rescaling": False}


@dataclass(frozen=True)
class Seed:
    """A valid weight file, or a preset folder.

    Attributes:
        name: name of the file; it ends in the suffix of its format.
        model: name of a model that takes its weights.
        files: content of each file by name; a single one for a weight file.
    """

    name: str
    model: str
    files: dict[str, bytes]


def models():
    """Return a small model of each task, by name."""
    found = {}
    for name, padding in (("backbone", "symmetric"), ("kerascv", "same")):
        found[name] = randomize(CSPDarkNetBackbone(**NET, padding=padding))
        kernel = found[name].get_layer("stem_conv_conv").kernel
        kernel.assign(kernel / 100)  # as small as weights for images of 0..255 are
    images = keras.Input((32, 32, 4))
    front = keras.layers.Conv2D(3, 3, padding="same")(keras.layers.Rescaling(0.5)(images) - 1)
    found["front"] = randomize(CSPDarkNetBackbone(**NET, input_tensor=front))
    options = {"class_names": ["a", "b", "c"], "image_size": 32}
    found["classifier"] = randomize(ImageClassifier(found["kerascv"], 3, **options))
    found["detector"] = randomize(YOLOXDetector(found["backbone"], 3, **options))
    return found


def seeds(all_models):
    """Return a file of each form of each model.

    Args:
        all_models: the result of `models`.
    """
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model_name, model in all_models.items():
            suffixes = [".weights.h5", ".keras", ".safetensors"]
            if model_name in ("backbone", "detector"):
                suffixes.append(".pth")
            for suffix in suffixes:
                path = folder / f"{model_name}{suffix}"
                conversion.save(model, path)
                found.append(Seed(path.name, model_name, {path.name: path.read_bytes()}))
            conversion.save(model, folder / model_name)
            files = {path.name: path.read_bytes() for path in (folder / model_name).iterdir()}
            found.append(Seed(f"{model_name}.preset", model_name, files))
    for file_name, model_name, content in _foreign_files(all_models):
        found.append(Seed(file_name, model_name, {file_name: content}))
    return found


def _foreign_files(all_models):
    yield "published.weights.h5", "kerascv", _kerascv(all_models["kerascv"])
    yield "keras2.h5", "kerascv", _keras2(all_models["kerascv"])
    yield "latest.weights.h5", "kerascv", _kerascv(all_models["kerascv"], libver="latest")
    compressed = {"compression": "gzip", "shuffle": True, "chunks": True}
    yield "chunked.weights.h5", "kerascv", _kerascv(all_models["kerascv"], **compressed)
    for name in ("backbone", "detector"):
        yield f"{name}.onnx", name, yolox_onnx(all_models[name])
    yield "training.pth", "detector", _training_checkpoint(all_models["detector"])


def _kerascv(model, libver="earliest", **options):
    content = io.BytesIO()
    with h5py.File(content, "w", libver=libver) as file:
        for path, array in collect(keras3.kerascv_layout(model)).items():
            file.create_dataset(path, data=array, **options)
    return content.getvalue()


def _keras2(model):
    content = io.BytesIO()
    layers = [keras2._layer_targets(model, units) for units in keras2._kerascv_layers(model)]
    names = [f"layer_{i}" for i in range(len(layers))]
    with h5py.File(content, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name, targets in zip(names, layers, strict=True):
            group = file.create_group(name)
            weights = {f"{name}/weight_{i}:0": item for i, item in enumerate(targets)}
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, array in collect(weights).items():
                group.create_dataset(weight, data=array)
    return content.getvalue()


def _training_checkpoint(detector):
    """Return a checkpoint as YOLOX's trainer writes it, pickled as PyTorch does."""
    import torch

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.pth"
        conversion.save(detector, path)
        weights = torch.load(path, weights_only=True)
    momentum = {i: {"momentum_buffer": value} for i, value in enumerate(weights.values())}
    groups = [{"lr": 0.01, "betas": (0.9, 0.999), "params": list(momentum)}]
    content = io.BytesIO()
    checkpoint = {"start_epoch": 5, "best_ap": np.float64(0.25), "curr_ap": None}
    checkpoint["model"] = {name: value.half() for name, value in weights.items()}
    checkpoint["optimizer"] = {"state": momentum, "param_groups": groups}
    torch.save(checkpoint, content)
    return content.getvalue()


def members(content):
    """Return the content of each member of a zip archive by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(contents, compression=zipfile.ZIP_STORED):
    """Return a zip archive with these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return content.getvalue()
