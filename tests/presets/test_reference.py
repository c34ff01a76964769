"""Reference outputs of each task."""

import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.presets.reference import compute_outputs, output_names, reference_outputs
from support import TINY_NET, randomize, relative_error, to_numpy

pytestmark = pytest.mark.one_backend


def test_backbone(backbone):
    outputs = reference_outputs(backbone)
    assert {name: len(values) for name, values in outputs.items()} == {"P2": 8, "P3": 8}
    assert reference_outputs(backbone) == outputs


def test_the_data_format_does_not_matter_for_the_size():
    model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, data_format="channels_first")
    assert list(reference_outputs(model)) == ["P2", "P3"]


def test_classifier(classifier, photo):
    assert output_names(classifier) == ["P2", "P3", "logits", "probs"]
    outputs = dict(compute_outputs(classifier, photo, ["probs", "logits"]))
    assert list(outputs) == ["probs", "logits"]
    assert relative_error(classifier(photo), outputs["probs"]) <= 1e-5
    exponentials = np.exp(outputs["logits"])
    assert relative_error(exponentials / exponentials.sum(), outputs["probs"]) <= 1e-5


def test_detector():
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=False)
    detector = randomize(YOLOXDetector(backbone, 2, image_size=32))
    x = np.ones((1, 32, 32, 3), "float32")
    outputs = dict(compute_outputs(detector, x, output_names(detector)))
    assert list(outputs) == ["P2", "P3", "P4", "boxes", "objectness", "classes"]
    for name, value in detector(x).items():
        assert relative_error(to_numpy(value), outputs[name]) <= 1e-5
