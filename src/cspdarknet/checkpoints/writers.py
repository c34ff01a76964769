"""Writers of weight files, by the suffix of the file."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from cspdarknet._labels import SINGLE
from cspdarknet.checkpoints.architecture import backbone_of, task_of
from cspdarknet.checkpoints.input_conventions import MEAN, STD, writable_normalization
from cspdarknet.checkpoints.layer_forms import check_not_quantized
from cspdarknet.checkpoints.readers import keras3, safetensors, timm, torch, yolox
from cspdarknet.checkpoints.targets import collect

KERAS_METADATA = "metadata.json"


def write_weights_h5(model: Any, path: Path, dtype: str | None = None) -> None:
    """Write a `.weights.h5` file as Keras does, without the states of optimizers and random layers.

    Args:
        model: the model.
        path: the file, whose name ends in `.weights.h5`.
        dtype: dtype of the stored weights, such as `"float16"`; `None` for that of the variables.

    Raises:
        ValueError: if a weight is too large for the dtype, or not finite; or the model was
            quantized.
    """
    check_not_quantized(model)
    # In memory: HDF5 crashes the process at its end when a full disk has interrupted its writing.
    content = io.BytesIO()
    # The structures of the oldest version are those that every reader knows.
    with h5py.File(content, "w", libver="earliest") as file:
        for name, layer in keras3.keras_layers(model):
            group = file.create_group(f"{name}/vars")
            group.attrs["name"] = layer.name
            variables: dict[str, Any] = {}
            layer.save_own_variables(variables)
            for key, variable in variables.items():
                array = keras.ops.convert_to_numpy(variable)
                if dtype is not None:
                    array = _cast(f"{name}/vars/{key}", array, np.dtype(dtype))
                dataset = group.create_dataset(key, data=array)
                if array.dtype.name == "bfloat16":  # as Keras marks it, since HDF5 has no such type
                    dataset.attrs["dtype"] = "bfloat16"
    path.write_bytes(content.getbuffer())


def _cast(name: str, array: np.ndarray, dtype: Any) -> np.ndarray:
    array = array.astype("float32")
    largest = np.abs(array).max(initial=0)
    if not largest <= np.finfo(dtype).max:  # NaN compares as False
        raise ValueError(
            f"The weight {name!r} has a value of {largest}, and {dtype} holds up to "
            f"{np.finfo(dtype).max}: keep the dtype of the variables."
        )
    return array.astype(dtype)


def write_pth(model: Any, path: Path) -> None:
    """Write a state dict of YOLOX or, if the topology is one of timm's, of timm.

    Raises:
        ValueError: if the model was quantized; it is a classifier or regressor, or timm's network
            in a detector, of which YOLOX has none; or the software has no model that computes the
            same with these weights. YOLOX has the activation in its experiment file.
    """
    check_not_quantized(model)
    backbone = backbone_of(model)
    if backbone.architecture.topology.stem:
        torch.write_torch(path, _timm_tensors(model, backbone))
        return
    if task_of(model) in ("classification", "regression"):
        raise ValueError(
            "A .pth file of YOLOX cannot hold a classifier's or regressor's head: save "
            "`model.backbone` alone, or the model as .safetensors, .keras or a preset folder."
        )
    _check_conventions(backbone)
    tensors = {}
    prefix = yolox.BACKBONE if task_of(model) == "detection" else ""
    for name, array in collect(yolox.layout(model, prefix)).items():
        tensors[name] = array
        if name.endswith(".running_var"):  # PyTorch expects a counter after it
            counter = name.removesuffix(".running_var") + yolox.COUNTER
            tensors[counter] = np.zeros((), "int64")
    torch.write_torch(path, tensors)


def _timm_tensors(model: Any, backbone: Any) -> dict[str, np.ndarray]:
    """Return the state dict of a backbone or classifier with one of timm's topologies."""
    if task_of(model) in ("detection", "regression"):
        raise ValueError(
            "A .pth file of timm cannot hold a detector or regressor: save `model.backbone` alone, "
            "or the model as .safetensors, .keras or a preset folder."
        )
    activation = timm.activation_of(backbone.architecture.name)
    for name, required in {**timm.CONVENTIONS, "activation": activation}.items():
        if name != "batch_norm_momentum" and getattr(backbone, name) != required:
            raise ValueError(
                f"timm's networks have {name}={required!r}: save the model as .safetensors or "
                f".keras. Received: {name}={getattr(backbone, name)!r}"
            )
    _check_timm_normalization(backbone)
    if task_of(model) == "classification":
        _check_timm_head(model)
    return timm.state_dict(collect(timm.layout(backbone) | timm.head_targets(model)))


def _check_timm_normalization(backbone: Any) -> None:
    """Refuse a backbone of images that the readers of timm's files would not assume."""
    channels = backbone.inputs[0].shape[1 if backbone.data_format == "channels_first" else -1]
    expected: tuple[Any, Any] = (None, None)
    if channels == len(timm.MEAN):
        network = backbone.architecture
        expected = timm.normalization_of(network.name, network.stackwise_channels)
    given = (backbone.mean, backbone.std)
    if not backbone.include_rescaling or not _all_close(given, expected):
        raise ValueError(
            "A .pth file of timm does not state the images that a network takes. For this one they "
            f"have values of 0..255 that are scaled to 0..1, with mean={expected[0]} and "
            f"std={expected[1]}. Save the model as .safetensors or .keras. Received: mean="
            f"{given[0]}, std={given[1]}, include_rescaling={backbone.include_rescaling}"
        )


def _all_close(given: tuple[Any, Any], expected: tuple[Any, Any]) -> bool:
    if given[0] is None or expected[0] is None:
        return given[0] is expected[0]
    return np.shape(given) == np.shape(expected) and np.allclose(given, expected, atol=1e-5)


def _check_timm_head(classifier: Any) -> None:
    """Refuse a classifier whose probabilities are others than those of timm's logits."""
    required = {
        "labels": (classifier.labels, (SINGLE,)),
        "pooling": (classifier.pooling, ("avg",)),
        "temperature": (classifier.temperature, (1.0,)),
        "activation": (classifier.activation, ("softmax", "linear", None)),
    }
    for name, (value, accepted) in required.items():
        if value not in accepted:
            raise ValueError(
                f"A .pth file of timm does not state {name}, which is {accepted[0]!r} there: save "
                f"the model as .safetensors or .keras. Received: {name}={value!r}"
            )


def _check_conventions(backbone: Any) -> None:
    """Refuse a backbone whose weights would give other outputs in YOLOX."""
    if backbone.padding != "symmetric":
        raise ValueError(
            "YOLOX pads symmetrically, so that the weights of a model with padding='same' give "
            "other outputs there: build the model with padding='symmetric'."
        )
    if backbone.batch_norm_epsilon != yolox.EPSILON:
        raise ValueError(
            f"YOLOX's batch normalization has an epsilon of {yolox.EPSILON}: save the model as "
            f".safetensors or .keras. Received: batch_norm_epsilon={backbone.batch_norm_epsilon}"
        )
    if not writable_normalization(backbone):
        raise ValueError(
            "A .pth file of YOLOX does not state mean and standard deviation: those of normalized "
            f"images are ImageNet's, mean={MEAN} and std={STD}. Save the model as .safetensors or "
            f".keras. Received: mean={backbone.mean}, std={backbone.std}, "
            f"include_rescaling={backbone.include_rescaling}"
        )


def write_safetensors(model: Any, path: Path) -> None:
    """Write a `.safetensors` file with the variables by path and the config in its metadata.

    Raises:
        ValueError: if the model was quantized.
    """
    check_not_quantized(model)
    safetensors.write(path, collect(safetensors.layout(model)), model.get_config())


def write_keras(model: Any, path: Path) -> None:
    """Write a `.keras` file as Keras does, without the time of writing: equal models, equal bytes.

    Raises:
        ValueError: if the model was quantized.
    """
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members[KERAS_METADATA])
    metadata.pop("date_saved", None)
    members[KERAS_METADATA] = json.dumps(metadata).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    ".pth": write_pth,
    ".safetensors": write_safetensors,
    ".h5": write_weights_h5,
    ".keras": write_keras,
}
