"""State dicts of timm: prefixes, forms of training checkpoints, and writing them back."""

import argparse

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import identify, load_weights
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import timm
from cspdarknet.checkpoints.readers import torch as torch_files
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector, load_model
from cspdarknet.topologies import TOPOLOGIES
from support import assert_same_weights, randomize

pytestmark = pytest.mark.one_backend

TIMM = [name for name, topology in TOPOLOGIES.items() if topology.stem]
NORMALIZATION = {"mean": list(timm.MEAN), "std": list(timm.STD)}


def small(topology, classes=3, **arguments):
    """A classifier, or a backbone for no classes, with random weights."""
    arguments = {"activation": timm.activation_of(topology), **timm.CONVENTIONS, **arguments}
    # The attention of `cs3sedarknet_x` differs in wide stages only.
    backbone = CSPDarkNetBackbone(
        [8, 16, 256 if topology == "cs3sedarknet_x" else 24],
        [1, 2, 1],
        topology=topology,
        **{"include_rescaling": True, **NORMALIZATION, **arguments},
    )
    model = ImageClassifier(backbone, classes, image_size=256) if classes else backbone
    randomize(model)
    return model


@pytest.fixture
def tensors(tmp_path):
    """A model, and its state dict as timm has it."""
    model = small("cs3sedarknet")
    conversion.save(model, tmp_path / "model.pth")
    return model, torch_files.read_torch(tmp_path / "model.pth")


@pytest.mark.parametrize("topology", TIMM)
def test_a_written_file_is_read_again(topology, tmp_path):
    model = small(topology)
    conversion.save(model, tmp_path / "model.pth")
    loaded = load_model(tmp_path / "model.pth")
    assert loaded.backbone.architecture.name == topology
    assert loaded.num_classes == 3
    assert_same_weights(loaded, model)


def test_a_backbone_has_no_head(tmp_path):
    model = small("darknet53", classes=0)
    conversion.save(model, tmp_path / "model.pth")
    assert not any(
        name.startswith("head") for name in torch_files.read_torch(tmp_path / "model.pth")
    )
    assert_same_weights(load_model(tmp_path / "model.pth"), model)


def save(content, path):
    """Write nested dicts of arrays as PyTorch does."""
    torch = pytest.importorskip("torch")

    def tensor(value):
        if isinstance(value, dict):
            return {key: tensor(item) for key, item in value.items()}
        return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value

    torch.save(tensor(content), path)


def features_only(name):
    return name.replace(".", "_", 1)


@pytest.mark.parametrize(
    ("nested", "note"),
    [
        (lambda w: {f"module.{name}": value for name, value in w.items()}, ""),
        (lambda w: {"state_dict": w, "epoch": 3, "arch": "cs3sedarknet_l"}, ""),
        (lambda w: {"state_dict": {k: 2 * v for k, v in w.items()}, "state_dict_ema": w}, "EMA"),
        (lambda w: {features_only(k): v for k, v in w.items() if not k.startswith("head")}, ""),
    ],
)
def test_forms_of_checkpoints(nested, note, tensors, tmp_path):
    model, weights = tensors
    save(nested(weights), tmp_path / "nested.pth")
    file = identify(tmp_path / "nested.pth")
    assert (file.family, file.is_loadable) == ("timm", True)
    assert "mean and std" in " ".join(file.notes)
    assert note in " ".join(file.notes)
    loaded = load_model(tmp_path / "nested.pth", "features")
    assert_same_weights(loaded, model.backbone)


def test_a_checkpoint_of_timms_training_script(tensors, tmp_path):
    model, weights = tensors
    content = {"epoch": 3, "state_dict": weights, "args": argparse.Namespace(lr=0.1)}
    save(content, tmp_path / "checkpoint.pth.tar")
    assert_same_weights(load_model(tmp_path / "checkpoint.pth.tar"), model)


def test_safetensors_with_names_of_timm(tensors, tmp_path):
    writer = pytest.importorskip("safetensors.numpy")
    model, weights = tensors
    writer.save_file(weights, tmp_path / "model.safetensors")
    assert identify(tmp_path / "model.safetensors").format == "timm, safetensors"
    assert_same_weights(load_model(tmp_path / "model.safetensors"), model)


def test_the_normalization_can_be_another_one(tensors, tmp_path):
    model, _ = tensors
    half = {"mean": [0.5] * 3, "std": [0.5] * 3}
    loaded = load_model(tmp_path / "model.pth", **half)
    assert_same_weights(loaded, model)
    assert list(loaded.backbone.mean) == [0.5] * 3
    with pytest.raises(ValueError, match="batch_norm_epsilon"):
        load_model(tmp_path / "model.pth", batch_norm_epsilon=1e-3)
    with pytest.raises(ValueError, match="pass both"):
        load_model(tmp_path / "model.pth", mean=[0.5] * 3)


def test_the_normalization_of_the_one_model_with_another(tmp_path):
    model = CSPDarkNetBackbone.from_preset("cs3darknet_focus_s")
    conversion.save(model, tmp_path / "model.pth")
    loaded = load_model(tmp_path / "model.pth")
    assert list(loaded.mean) == list(model.mean) == [0.5] * 3
    assert list(loaded.std) == list(model.std) == [0.5] * 3


def test_other_networks_of_the_same_file_are_named(tensors, tmp_path):
    _, weights = tensors
    weights["stem.conv1.conv.weight"] = np.zeros((64, 3, 7, 7), "float32")  # as of cspresnet50
    torch_files.write_torch(tmp_path / "other.pth", weights)
    with pytest.raises(CheckpointError, match="cs3se_edgenet"):
        load_model(tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda w: w.pop("stages.1.blocks.1.attn.fc2.bias"), "attn.fc2.bias"),
        (lambda w: w.pop("stages.0.conv_exp.bn.weight"), "conv_exp.bn.weight"),
        (lambda w: w.update({"stages.2.extra": np.zeros(1, "float32")}), "extra"),
        (lambda w: w.update({"stages.0.conv_exp.bn.bias": np.zeros((), "float32")}), "conv_exp"),
    ],
)
def test_damaged_files(cut, message, tensors, tmp_path):
    _, weights = tensors
    cut(weights)
    torch_files.write_torch(tmp_path / "cut.pth", weights)
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path / "cut.pth")


def test_weights_of_the_other_branches_do_not_fit(tensors, tmp_path):
    _, _ = tensors
    backbone = CSPDarkNetBackbone(
        [8, 16, 24], [1, 2, 1], include_rescaling=True, **timm.CONVENTIONS
    )
    with pytest.raises(CheckpointError, match="topology"):
        load_weights(backbone, tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: small("cs3darknet", 0, batch_norm_epsilon=1e-3), "batch_norm_epsilon"),
        (lambda: small("cs3darknet", 0, activation="relu"), "silu"),
        (lambda: small("cs3darknet", 0, mean=[0.4] * 3, std=[0.5] * 3), "mean=.0.4"),
        (lambda: small("cs3darknet", 0, include_rescaling=False), "include_rescaling=False"),
        (lambda: ImageClassifier(small("cs3darknet", 0), 2, labels="multi"), "labels='multi'"),
        (lambda: ImageClassifier(small("cs3darknet", 0), 2, "max"), "pooling='max'"),
        (lambda: ImageClassifier(small("cs3darknet", 0), 2, temperature=2), "temperature=2"),
        (lambda: ImageClassifier(small("cs3darknet", 0), 2, activation="sigmoid"), "'sigmoid'"),
        (lambda: YOLOXDetector(small("cs3darknet", 0), 2, "xyxy"), "detector"),
    ],
)
def test_models_that_timm_does_not_have(model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        conversion.save(model(), tmp_path / "model.pth")
    assert not (tmp_path / "model.pth").exists()


def test_timm_itself_reads_a_written_file(tmp_path):
    library, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    model = ImageClassifier.from_preset("cs3darknet_focus_s", num_classes=5, activation=None)
    randomize(model)
    conversion.save(model, tmp_path / "model.pth")
    theirs = library.create_model(
        "cs3darknet_focus_s", num_classes=5, checkpoint_path=str(tmp_path / "model.pth")
    ).eval()
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    mean, std = np.array(model.backbone.mean), np.array(model.backbone.std)
    normalized = (images / 255 - mean) / std
    with torch.no_grad():
        expected = theirs(torch.tensor(normalized.transpose(0, 3, 1, 2), dtype=torch.float32))
    found = model.predict(images, verbose=0)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4 * np.abs(found).max())
