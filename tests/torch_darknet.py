"""YOLOX's CSPDarknet as PyTorch functions on a state dict, written from its paper and layer names.

It shares no code with the package, so that tests can compare the outputs of both.
"""

import pytest

ACTIVATIONS = {
    "silu": lambda x: x * x.sigmoid(),
    "relu": lambda x: x.clamp(min=0),
    "leaky_relu": lambda x: x.where(x > 0, 0.1 * x),
    "leaky_relu_0.01": lambda x: x.where(x > 0, 0.01 * x),
    "relu6": lambda x: x.clamp(0, 6),
    "hard_swish": lambda x: x * (x + 3).clamp(0, 6) / 6,
}


def torch_features(weights, images, activation):
    """Return the feature map of the last stage, in float64; arguments as of `torch_maps`."""
    return torch_maps(weights, images, activation).numpy()


def torch_maps(weights, images, activation, tap=("", None)):
    """Return the feature map of the last stage as a tensor of float64.

    Args:
        weights: arrays by YOLOX's names, of a backbone without depthwise convolutions.
        images: array or tensor `(n, channels, height, width)` of even sizes, as the weights take
            it.
        activation: name of the activation.
        tap: name of a stage, such as "dark3", and a module that its output goes through.
    """
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    tensors = {name: torch.as_tensor(array).double() for name, array in weights.items()}

    def block(x, name, stride=1):
        kernel = tensors[f"{name}.conv.weight"]
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        norm = [tensors[f"{name}.bn.{key}"] for key in ("running_mean", "running_var")]
        affine = [tensors[f"{name}.bn.{key}"] for key in ("weight", "bias")]
        return ACTIVATIONS[activation](functional.batch_norm(x, *norm, *affine, eps=1e-3))

    def csp(x, name, shortcut):
        main, i = block(x, f"{name}.conv1"), 0
        while f"{name}.m.{i}.conv1.conv.weight" in tensors:
            y = block(block(main, f"{name}.m.{i}.conv1"), f"{name}.m.{i}.conv2")
            main, i = (main + y if shortcut else y), i + 1
        return block(torch.cat([main, block(x, f"{name}.conv2")], 1), f"{name}.conv3")

    def spp(x, name):
        x = block(x, f"{name}.conv1")
        pooled = [functional.max_pool2d(x, k, 1, k // 2) for k in (5, 9, 13)]
        return block(torch.cat([x, *pooled], 1), f"{name}.conv2")

    x = torch.as_tensor(images).double()
    x = torch.cat([x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)], 1)
    x = block(x, "stem.conv")
    last = max(int(name[4]) for name in tensors if name.startswith("dark"))
    for stage in range(2, last + 1):
        x = block(x, f"dark{stage}.0", stride=2)
        if stage == last:
            x = spp(x, f"dark{stage}.1")
        x = csp(x, f"dark{stage}.{2 if stage == last else 1}", stage != last)
        if tap[0] == f"dark{stage}":
            x = tap[1](x)
    return x
