"""Comparison with timm's networks of `output_stride=8` and `16`.

The references are outputs of timm 1.0.31, which `tools/timm_output_stride.py` computes. The weights
follow from their names.
"""

import numpy as np
import pytest

from cspdarknet.checkpoints.loading import load_weights
from cspdarknet.checkpoints.readers import timm
from cspdarknet.checkpoints.readers.timm_file import TimmWeights
from cspdarknet.checkpoints.targets import collect
from cspdarknet.models import CSPDarkNetBackbone
from support import REFERENCES, relative_error
from timm_weights import weight

TOLERANCE = 1e-4
CS3 = {"stackwise_channels": [16, 16, 24, 32], "stackwise_depth": [1, 2, 1, 2]}
DARKNET = {"stackwise_channels": [16, 16, 24, 32, 40], "stackwise_depth": [1, 2, 1, 1, 2]}
IMAGES = np.random.default_rng(0).standard_normal((1, 3, 41, 56)).astype("float32")


def network(topology, output_stride):
    backbone = CSPDarkNetBackbone(
        **(CS3 if topology.startswith("cs3") else DARKNET),
        include_rescaling=False,
        topology=topology,
        padding="symmetric",
        batch_norm_epsilon=1e-5,
        activation="silu" if topology.startswith("cs3") else "leaky_relu_0.01",
        output_stride=output_stride,
    )
    arrays = timm.state_dict(collect(timm.layout(backbone)))
    shapes = {key: array.shape for key, array in arrays.items() if not key.endswith("tracked")}
    weights = TimmWeights(
        REFERENCES, "timm", shapes, lambda key: weight(key, shapes[key]).astype("float32")
    )
    load_weights(backbone, weights.checkpoint())
    return backbone


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize(
    "topology",
    [
        "cs3se_edgenet",
        *(
            pytest.param(name, marks=pytest.mark.one_backend)
            for name in ("cspdarknet53", "darknet53", "darknetaa53")
        ),
    ],
)
def test_outputs_of_timm(topology, output_stride):
    expected = np.load(REFERENCES / "timm_output_stride.npz")[f"{topology}_{output_stride}"]
    backbone = network(topology, output_stride)
    assert backbone.feature_strides["P5"] == output_stride
    found = backbone(IMAGES.transpose(0, 2, 3, 1), training=False)
    assert relative_error(found, expected.transpose(0, 2, 3, 1)) <= TOLERANCE
