"""`TorchProgram`: a functional Keras model as a list of calls of PyTorch's own functions.

Keras on PyTorch runs a graph layer by layer. Each call checks its arguments, casts, and changes the
layout for PyTorch and back, and batch normalization consists of a dozen element-wise operations
when it trains. Here one function of PyTorch stands for each convolution, batch normalization,
activation and so on. It works on the variables of the Keras layers, and the activations keep one
layout from the first layer to the last. Outputs, gradients and statistics are those of the layers.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import keras
import torch

from cspdarknet.models.torch.functions import FUNCTIONS, Call, Inputs, Padding, Run
from cspdarknet.models.torch.layout import arrange_kernel
from cspdarknet.models.torch.statistics import update
from cspdarknet.models.torch.values import reader

# Axes of a kernel in memory: outputs, height, width, inputs; and those of a depthwise convolution.
KERNEL_ORDERS = {keras.layers.Conv2D: (3, 0, 1, 2), keras.layers.DepthwiseConv2D: (2, 3, 0, 1)}
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}


@dataclass(frozen=True)
class Step:
    """One call of a layer or operation.

    Attributes:
        operation: the Keras layer or operation.
        arguments: its positional and keyword arguments, with a Keras tensor in place of each
            tensor.
        inputs: numbers of these tensors.
        outputs: numbers of the tensors that it returns.
        padding: zeros around height and width that a convolution takes over from the layer before
            it; `None` for its own padding.
        last_uses: numbers of the tensors that no later step takes.
    """

    operation: Any
    arguments: tuple[Any, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    padding: Padding = None
    last_uses: tuple[int, ...] = ()


class TorchProgram:
    """A functional Keras model that PyTorch's functions run.

    Args:
        model: the model. Functional models that are nested in it are flattened.
        data_format: `"channels_last"` or `"channels_first"`, of its images.
    """

    def __init__(self, model: Any, data_format: str) -> None:
        numbers = {id(tensor): number for number, tensor in enumerate(model.inputs)}
        self._inputs = list(numbers.values())
        steps = list(_steps(model, numbers, count(len(numbers))))
        self._outputs = [numbers[id(tensor)] for tensor in model.outputs]
        self._steps = _with_last_uses(_join_padding(steps, self._outputs), self._outputs)
        self._structure = model._outputs_struct
        self._data_format = data_format
        for kernel, order in self._kernels():
            arrange_kernel(kernel, order)

    def __call__(self, inputs: Inputs, training: bool) -> Any:
        """Return the outputs in the structure of the model; training updates the statistics."""
        kernel, _ = next(self._kernels(), (None, None))
        run = Run(training, self._data_format, reader(kernel))
        values = {n: self._view(x) for n, x in zip(self._inputs, inputs, strict=True)}
        for step in self._steps:
            given = [values[number] for number in step.inputs]
            output = self._function(run, step, given)
            results = self._layer(run, step, given) if output is None else [output]
            values.update(zip(step.outputs, results, strict=True))
            for number in step.last_uses:
                del values[number]
        update(run.statistics)
        outputs = [self._view(values[number], back=True) for number in self._outputs]
        return keras.tree.pack_sequence_as(self._structure, outputs)

    def _kernels(self) -> Iterator[tuple[Any, tuple[int, ...]]]:
        """Yield the kernel of each convolution, and the order of its axes in memory."""
        for layer in (step.operation for step in self._steps):
            order = KERNEL_ORDERS.get(type(layer))
            if order and isinstance(layer.kernel, keras.Variable):  # with LoRA it is a tensor
                yield layer.kernel, order

    def _function(self, run: Run, step: Step, inputs: Inputs) -> torch.Tensor | None:
        """Return the output of a step by PyTorch's function; `None` if the layer has to run."""
        layer = step.operation
        function = FUNCTIONS.get(type(layer))
        if function is None or not self._is_plain(layer, inputs):
            return None
        dtype = DTYPES.get(layer.compute_dtype, torch.float32)
        return function(Call(layer, run, step.padding), [x.to(dtype) for x in inputs])

    def _is_plain(self, layer: Any, inputs: Inputs) -> bool:
        """Whether PyTorch's function does what the layer does: nobody changed or observes it."""
        return (
            all(x.dim() == 4 and x.is_floating_point() for x in inputs)
            and getattr(layer, "data_format", self._data_format) == self._data_format
            and not getattr(layer, "quantization_mode", None)
            and not getattr(layer, "lora_enabled", False)
            and not (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)
            and layer.activity_regularizer is None
        )

    def _layer(self, run: Run, step: Step, inputs: Inputs) -> Inputs:
        """Return the outputs of a step by its layer or operation."""
        if step.padding is not None:
            height, width = step.padding
            inputs = [torch.nn.functional.pad(inputs[0], (width, width, height, height))]
        given = iter([self._view(x, back=True) for x in inputs])

        def filled(leaf: Any) -> Any:
            return next(given) if isinstance(leaf, keras.KerasTensor) else leaf

        args, kwargs = keras.tree.map_structure(filled, step.arguments)
        if getattr(step.operation, "_call_has_training_arg", False):
            kwargs = {**kwargs, "training": run.training}
        return [self._view(x) for x in keras.tree.flatten(step.operation(*args, **kwargs))]

    def _view(self, x: torch.Tensor, back: bool = False) -> torch.Tensor:
        """Return feature maps with the channels first, or in the format of the model again."""
        if self._data_format == "channels_first" or x.dim() != 4:
            return x
        return x.permute(0, 2, 3, 1) if back else x.permute(0, 3, 1, 2)


def _steps(model: Any, numbers: dict[int, int], free: Iterator[int]) -> Iterator[Step]:
    """Yield the calls of a model, and enter its tensors into `numbers`, by their id."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            operation = node.operation
            inputs = [numbers[id(tensor)] for tensor in node.arguments.keras_tensors]
            if isinstance(operation, keras.Model) and hasattr(operation, "_nodes_by_depth"):
                inner = dict(zip(map(id, operation.inputs), inputs, strict=True))
                yield from _steps(operation, inner, free)
                outputs = [inner[id(tensor)] for tensor in operation.outputs]
            else:
                arguments = (node.arguments.args, node.arguments.kwargs)
                outputs = [next(free) for _ in node.output_tensors]
                yield Step(operation, arguments, tuple(inputs), tuple(outputs))
            numbers.update(zip(map(id, node.output_tensors), outputs, strict=True))


def _join_padding(steps: list[Step], outputs: list[int]) -> list[Step]:
    """Let convolutions pad in place of the padding layers before them, which copy their input."""
    uses = Counter(outputs) + Counter(number for step in steps for number in step.inputs)
    joined: list[Step] = []
    pending: dict[int, Step] = {}  # padding layers whose only consumer is not reached yet
    for step in steps:
        before = [pending.pop(number) for number in step.inputs if number in pending]
        if before and _pads_nothing(step.operation):
            (height, _), (width, _) = before[0].operation.padding
            step = replace(step, inputs=before[0].inputs, padding=(height, width))
        else:
            joined += before
        if _pads_symmetrically(step.operation) and uses[step.outputs[0]] == 1:
            pending[step.outputs[0]] = step
        else:
            joined.append(step)
    return joined + list(pending.values())


def _with_last_uses(steps: list[Step], outputs: list[int]) -> list[Step]:
    """Note where each tensor is used last, so that inference does not hold all of them."""
    seen = set(outputs)
    result = []
    for step in reversed(steps):
        last = tuple({*step.inputs, *step.outputs} - seen)
        seen.update(last)
        result.append(replace(step, last_uses=last))
    return result[::-1]


def _pads_nothing(layer: Any) -> bool:
    is_convolution = type(layer) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return is_convolution and layer.padding == "valid"


def _pads_symmetrically(layer: Any) -> bool:
    is_padding = type(layer) is keras.layers.ZeroPadding2D
    return is_padding and all(before == after for before, after in layer.padding)
