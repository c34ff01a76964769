"""Comparison with reference outputs."""

import numpy as np
import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.conversion import convert, save, verify
from cspdarknet.conversion.verify import PUBLISHED, TOLERANCE
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import GOLDEN, TINY_NET, needs_golden, randomize, to_numpy
from yolox_files import build, yolox_like

pytestmark = pytest.mark.one_backend


def test_other_weights_are_noticed(state_dict, tmp_path):
    convert(state_dict, tmp_path / "preset")
    other = yolox_like()
    other.get_layer("dark3_csp_conv3_bn").beta.assign(np.full(6, 0.5))
    other.save_weights(tmp_path / "preset" / "model.weights.h5")
    checks = verify(tmp_path / "preset")
    assert [(check.name, check.passed) for check in checks] == [("P2", True), ("P3", False)]


def test_another_head_is_noticed(tmp_path):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    model = randomize(ImageClassifier(backbone, 3))
    save(model, tmp_path / "preset", {"name": "a test"})
    model.get_layer("predictions").bias.assign([1.0, 0.0, 0.0])
    save(model, tmp_path / "preset" / "model.weights.h5")
    passed = {check.name: check.passed for check in verify(tmp_path / "preset")}
    assert passed == {"P2": True, "P3": True, "logits": False, "probs": False}


@needs_golden
def test_a_golden_file():
    folder = GOLDEN / "kcv_keras30_small"
    checks = verify(folder / "preset", folder / "io.npz")
    assert {"P2 b", "P5 b"} <= {check.name for check in checks}
    assert all(check.passed for check in checks)
    assert all(check.tolerance == TOLERANCE for check in checks)


def test_a_golden_file_with_several_cases(photo, tmp_path):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    model = randomize(ImageClassifier(backbone, 3))
    save(model, tmp_path / "preset")
    probs, p3 = to_numpy(model(photo)), to_numpy(model.backbone(photo))
    cases = {"x_a": photo, "a_P3": p3, "input_b": photo, "P3_b": p3 + 1}
    np.savez(tmp_path / "io.npz", x=photo, probs=probs, **cases, extra=np.ones(3))
    checks = verify(tmp_path / "preset", tmp_path / "io.npz")
    assert {check.name: check.passed for check in checks} == {
        "probs": True,
        "P3 a": True,
        "P3 b": False,
    }
    np.savez(tmp_path / "other.npz", x=photo, probs=probs)
    save(model.backbone, tmp_path / "backbone")
    with pytest.raises(CheckpointError, match=r"has no input `x` .*P2, P3"):
        verify(tmp_path / "backbone", tmp_path / "other.npz")


def test_outputs_of_another_shape(photo, tmp_path):
    save(build(), tmp_path / "preset")
    np.savez(tmp_path / "io.npz", x=photo, P3=np.ones((1, 2, 3, 4)))
    assert [check.error for check in verify(tmp_path / "preset", tmp_path / "io.npz")] == [np.inf]


def test_no_reference_outputs(tmp_path):
    build().save_to_preset(tmp_path / "preset")
    with pytest.raises(CheckpointError, match="has no reference outputs: pass a golden file"):
        verify(tmp_path / "preset")
    for content, message in ((b"x", "not a readable .npz file"), (b"", "not a readable .npz file")):
        (tmp_path / "g.npz").write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            verify(tmp_path / "preset", tmp_path / "g.npz")


def test_bundled_presets():
    for name in ("csp_darknet_tiny_clothing", "yolox_nano_bccd"):
        checks = verify(name)
        assert len(checks) >= 6
        assert all(check.passed for check in checks)


@pytest.mark.network
@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_outputs_of_kerascv(name):
    """KerasCV's own preset test: five values, to a hundredth."""
    (check,) = verify(name)
    assert check.passed
