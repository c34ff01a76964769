"""Layers that Keras has quantized or adapted with LoRA after they were built."""

from collections.abc import Iterator
from typing import Any

from cspdarknet.checkpoints.errors import CheckpointError

LORA_PREFIX = "lora_"  # of the names of the added variables


def flat_layers(model: Any) -> Iterator[Any]:
    """Yield the layers of a model, and those of the models inside it."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from flat_layers(layer)
        else:
            yield layer


def has_lora(layer: Any) -> bool:
    """Whether a layer was adapted with LoRA."""
    return bool(getattr(layer, "lora_enabled", False))


def check_not_quantized(model: Any) -> None:
    """Refuse to save a model of which layers were quantized: no file of it could be loaded.

    Raises:
        ValueError: if `model.quantize` was called.
    """
    if names := _quantized(model):
        raise ValueError(
            "A model must be saved before `quantize`, which the saved model cannot repeat. "
            f"Received: a model with the quantized layer {names[0]!r}. For a file with int8 "
            "weights, use `cspdarknet.export` on the model before `quantize`."
        )


def check_loadable(model: Any) -> None:
    """Refuse to load weights into layers that no longer have the variables of the file.

    Raises:
        CheckpointError: if layers are quantized, or adapted with LoRA.
    """
    for method, names in (
        ("quantize", _quantized(model)),
        ("enable_lora", [layer.name for layer in flat_layers(model) if has_lora(layer)]),
    ):
        if names:
            raise CheckpointError(
                f"Weights must be loaded before `{method}`, which changes the variables of a "
                f"layer. Received: a model whose layer {names[0]!r} was changed so."
            )


def _quantized(model: Any) -> list[str]:
    import keras

    policy = keras.dtype_policies.QuantizedDTypePolicy
    return [layer.name for layer in flat_layers(model) if isinstance(layer.dtype_policy, policy)]


def merged_variables(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each variable, with LoRA's matrices added to the kernels."""
    for layer in flat_layers(model):
        for variable in layer.weights:
            if not has_lora(layer):
                yield variable.path, variable
            elif not variable.name.startswith(LORA_PREFIX):
                yield variable.path, layer.kernel if variable.name == "kernel" else variable
