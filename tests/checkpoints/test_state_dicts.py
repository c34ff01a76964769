"""Choice of the weights among those of a training checkpoint."""

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import CheckpointError, state_dicts
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.readers import torch as torch_files
from cspdarknet.models import load_model
from support import assert_same_weights
from yolox_files import yolox_like

pytestmark = pytest.mark.one_backend
STEM = "stem.conv.conv.weight"


def weights(prefix="", value=0.0):
    return {f"{prefix}{STEM}": np.full((1,), value), f"{prefix}stem.conv.bn.weight": np.ones(1)}


@pytest.mark.parametrize(
    ("content", "keys", "prefix"),
    [
        # One.
        (weights(), (), ""),
        ({"model": weights(), "epoch": 3}, ("model",), ""),
        ({"state_dict": weights("model.")}, ("state_dict",), "model."),
        ({"model_state_dict": weights("module.")}, ("model_state_dict",), "module."),
        ({"net": {"weights": weights("_orig_mod.")}}, ("net", "weights"), "_orig_mod."),
        ({"ema": {"module": weights(), "updates": 7}}, ("ema", "module"), ""),
        # Of several, the average.
        ({"model": weights(), "ema": weights()}, ("ema",), ""),
        (
            {"state_dict": weights(), "ema_state_dict": weights("module.")},
            ("ema_state_dict",),
            "module.",
        ),
        (
            {"model": weights(), "model_ema": {"state_dict": weights()}},
            ("model_ema", "state_dict"),
            "",
        ),
        (weights("model.") | weights("ema.module."), (), "ema.module."),
        (weights() | weights("swa_model."), (), "swa_model."),
    ],
)
def test_the_weights_that_are_taken(content, keys, prefix):
    chosen, notes = state_dicts.choose("a.pth", content)
    assert (chosen.keys, chosen.prefix) == (keys, prefix)
    assert (bool(notes) == chosen.is_average and len(keys) < 2) or not notes or "EMA" in notes[0]


def test_the_ema_is_named(tmp_path):
    _, (note,) = state_dicts.choose("a.pth", {"model": weights(), "ema": weights("module.")})
    assert (
        note == "the EMA weights are taken, ['ema'], names with 'module.'; there are also ['model']"
    )


@pytest.mark.parametrize(
    ("content", "places", "code"),
    [
        (
            weights("student.") | weights("teacher."),
            "names with 'student.'; names with 'teacher.'",
            "{k: v for k, v in torch.load(path).items() if k.startswith('student.')}",
        ),
        (
            {"generation1": weights(), "generation2": weights()},
            "['generation1']; ['generation2']",
            "torch.load(path)['generation1']",
        ),
        ({"ema": weights(), "swa": weights()}, "['ema']; ['swa']", "torch.load(path)['ema']"),
    ],
)
def test_several_models(content, places, code):
    with pytest.raises(CheckpointError) as error:
        state_dicts.choose("a.pth", content)
    assert f"holds the weights of 2 models: {places}" in str(error.value)
    assert f"torch.save({code}, new_path)" in str(error.value)


def test_no_weights():
    nested = weights()
    for _ in range(10):
        nested = {"model": nested}
    for content in ([1], {}, {"a": np.ones(1)}, {5: weights()}, nested):
        with pytest.raises(CheckpointError, match=r"a\.pth does not hold a CSPDarkNet of YOLOX"):
            state_dicts.choose("a.pth", content)


def test_a_file_with_two_sets_of_weights(state_dict, tmp_path):
    """Those of the average are loaded, though they come second and have a prefix."""
    arrays = torch_files.read_torch(state_dict)
    live = {f"model.{name}": np.zeros_like(array) for name, array in arrays.items()}
    average = {f"ema.module.{name}": array for name, array in arrays.items()}
    torch_files.write_torch(tmp_path / "a.pth", live | average)
    assert_same_weights(load_model(tmp_path / "a.pth"), yolox_like())
    with open_checkpoint(tmp_path / "a.pth") as checkpoint:
        assert "EMA" in checkpoint.notes[0]
    conversion.save(load_model(tmp_path / "a.pth"), tmp_path / "b.pth")
    assert set(torch_files.read_torch(tmp_path / "b.pth")) == set(arrays)
