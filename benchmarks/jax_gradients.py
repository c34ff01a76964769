"""What makes training on JAX slow on processors?

The processor time of single convolutions of YOLOX-nano and -tiny and of their gradients: by XLA, by
the sums of shifted products that replace XLA's depthwise ones, and by PyTorch.

    KERAS_BACKEND=jax python benchmarks/jax_gradients.py
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import torch
from harness.arguments import benchmark_parser
from harness.results import Row, write_results
from harness.turns import median_seconds, time_functions, timing_note

from cspdarknet._depthwise import use_shifted_products

# Side of the feature maps, channels, window, stride, and whether it is depthwise.
CASES = (
    (208, 16, 3, 2, True),
    (104, 16, 3, 1, True),
    (52, 64, 3, 1, True),
    (26, 128, 3, 1, True),
    (52, 64, 1, 1, False),
    (52, 48, 3, 1, False),
)
PASSES = ("forward", "to_images", "to_kernel")


def jax_passes(layer: Any, x: np.ndarray) -> list[Callable[[], object]]:
    """Return functions that compute the output of a layer and its two gradients."""
    layer.build(x.shape)

    def output(x: Any, kernel: Any) -> Any:
        with keras.StatelessScope([(layer.kernel, kernel)]):
            return layer(x)

    values = jax.numpy.asarray(x), layer.kernel.value
    ones = jax.numpy.ones_like(output(*values))

    def gradient(x: Any, kernel: Any, index: int) -> Any:
        return jax.vjp(output, x, kernel)[1](ones)[index]

    jitted = [jax.jit(output), *(jax.jit(lambda x, k, i=i: gradient(x, k, i)) for i in (0, 1))]
    return [lambda f=f: jax.block_until_ready(f(*values)) for f in jitted]  # type: ignore[misc]


def torch_passes(x: np.ndarray, kernel: np.ndarray, stride: int, groups: int) -> list[Any]:
    """Return the same functions of PyTorch, channels last."""
    images = torch.from_numpy(x).permute(0, 3, 1, 2)
    weights = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    padding = kernel.shape[0] // 2

    def forward() -> torch.Tensor:
        return torch.nn.functional.conv2d(images, weights, None, stride, padding, 1, groups)

    ones = torch.ones_like(forward())

    def gradient(*needed: bool) -> Any:
        sizes = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups, needed
        return torch.ops.aten.convolution_backward(ones, images, weights, None, *sizes)

    return [forward, lambda: gradient(True, False, False), lambda: gradient(False, True, False)]


def rows_of(case: tuple[int, int, int, int, bool], batch_size: int, rounds: int) -> Row:
    """Return the milliseconds of a convolution and of its gradients."""
    side, channels, window, stride, depthwise = case
    x = np.random.default_rng(0).normal(size=(batch_size, side, side, channels)).astype("float32")
    options = {"strides": stride, "padding": "same", "use_bias": False}

    def new_layer() -> Any:
        if depthwise:
            return keras.layers.DepthwiseConv2D(window, **options)
        return keras.layers.Conv2D(channels, window, **options)

    layer = new_layer()
    runs = {"xla": jax_passes(layer, x)}
    if depthwise:
        runs["ours"] = jax_passes(use_shifted_products(new_layer()), x)
    kernel = np.array(layer.kernel.value)
    kernel = kernel.transpose(0, 1, 3, 2) if depthwise else kernel
    runs["torch"] = torch_passes(x, kernel, stride, channels if depthwise else 1)
    row: Row = {"side": side, "channels": channels, "window": window, "stride": stride}
    row["depthwise"] = "yes" if depthwise else "no"
    for i, name in enumerate(PASSES):
        times = time_functions({key: run[i] for key, run in runs.items()}, rounds, threads=1)
        for key in ("xla", "ours", "torch"):
            ms = round(1e3 * median_seconds(times[key]), 2) if key in times else ""
            row[f"{name}_{key}_ms"] = ms
    return row


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=9)
    parser.add_argument("--batch-size", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [rows_of(case, options.batch_size, options.rounds) for case in CASES]
    text = f"Milliseconds of a convolution and of its gradients; {timing_note(options.rounds, 1)}."
    write_results(Path(options.out), "jax_gradients", text, rows)


if __name__ == "__main__":
    main()
