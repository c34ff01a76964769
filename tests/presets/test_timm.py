"""Models in the form in which timm publishes them."""

import json

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import timm, torch
from cspdarknet.models import ImageClassifier, load_model
from cspdarknet.presets import sources
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.sources import locate
from hub_server import Repository
from support import assert_same_weights, randomize

pytestmark = pytest.mark.one_backend

TAGGED = [name for name in PRESETS if "." in name]
# What huggingface_hub has for one of timm's models, shortened.
DOCUMENT = {
    "architecture": "cs3darknet_focus_s",
    "num_classes": 2,
    "num_features": 512,
    "label_names": ["cat", "dog"],
    "pretrained_cfg": {
        "tag": "ra4_e3600_r256_in1k",
        "input_size": [3, 256, 256],
        "test_input_size": [3, 320, 320],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.5, 0.5],
        "crop_pct": 0.887,
    },
}


@pytest.fixture
def repository(tmp_path):
    """The files of a repository with a model of timm, and the model."""
    writer = pytest.importorskip("safetensors.numpy")
    model = ImageClassifier.from_preset("cs3darknet_focus_s", num_classes=2)
    randomize(model)
    conversion.save(model, tmp_path / "model.pth")
    folder = tmp_path / "repository"
    folder.mkdir()
    writer.save_file(torch.read_torch(tmp_path / "model.pth"), folder / timm.FILE)
    (folder / "config.json").write_text(json.dumps(DOCUMENT))
    return folder, model


def check(loaded, model):
    assert_same_weights(loaded, model)
    assert (loaded.class_names, loaded.image_size) == (("cat", "dog"), 320)
    assert loaded.crop == 0.887
    assert (list(loaded.backbone.mean), list(loaded.backbone.std)) == ([0.5] * 3, [0.25, 0.5, 0.5])
    assert loaded.backbone.include_rescaling


def test_a_repository_at_the_hub(repository, hub):
    folder, model = repository
    hub.repositories["timm/mine"] = there = Repository()
    there.commit({path.name: path.read_bytes() for path in folder.iterdir()})
    check(load_model("hf://timm/mine"), model)
    assert not any(request.endswith("model.weights.h5") for request in map(str, hub.requests))


def test_a_folder_with_the_files_of_a_repository(repository):
    check(load_model(repository[0]), repository[1])


def test_a_model_of_another_family(repository):
    folder, _ = repository
    (folder / "config.json").write_text(json.dumps({**DOCUMENT, "architecture": "resnet50"}))
    with pytest.raises(CheckpointError, match=r"'resnet50'.*cs3darknet_l"):
        load_model(folder)


def test_rectangular_test_images(repository):
    folder, _ = repository
    facts = {**DOCUMENT["pretrained_cfg"], "test_input_size": [3, 256, 320]}
    (folder / "config.json").write_text(json.dumps({**DOCUMENT, "pretrained_cfg": facts}))
    assert load_model(folder).image_size == (256, 320)


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("mean", mean) for mean in ("0.5", [0.5, None, 1], {"a": 1})), ("crop_pct", "all")],
)
def test_malformed_facts(repository, name, value):
    folder, _ = repository
    facts = {**DOCUMENT["pretrained_cfg"], name: value}
    (folder / "config.json").write_text(json.dumps({**DOCUMENT, "pretrained_cfg": facts}))
    with pytest.raises(CheckpointError, match=name.removesuffix("_pct")):
        load_model(folder)


def test_a_head_of_other_classes_has_no_test_crop(repository):
    assert load_model(repository[0], num_classes=3, class_names=list("abc")).crop == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cspresnet50", "not a CSPDarkNet.*cspdarknet53"),
        ("resnet50.a1_in1k", "not a CSPDarkNet"),
        ("cs3darknet_l.c2ns_in22k", "the weights that are known are cs3darknet_l.c2ns_in1k"),
        ("cs3darknet_s.c2ns_in1k", "it has no weights"),
        ("timm/cs3darknet_l.c2ns_in1k", "Leave out"),
    ],
)
def test_names_that_are_unknown(name, message):
    with pytest.raises(ValueError, match=message):
        locate(name)


def test_records():
    assert len(TAGGED) == 13
    for name in TAGGED:
        preset = PRESETS[name]
        first, *others = preset.sources
        assert (first.uri, first.file) == (f"hf://timm/{name}", "model.safetensors")
        assert all(source.uri.endswith(f"-{source.sha256}.pth") for source in others)
        assert preset.task == "classification"
        assert 0.8 < preset.crop <= 1
    assert PRESETS["cs3se_edgenet_x.c2ns_in1k"].metric == "top-1 83.5"


def test_names_of_imagenet():
    head = PRESETS["cs3darknet_l.c2ns_in1k"].config().head
    names = head["class_names"]
    assert (head["num_classes"], len(set(names))) == (1000, 1000)
    # As anyone who has worked with ImageNet knows them.
    assert [names[i] for i in (0, 281, 207, 999)] == [
        *("tench", "tabby", "golden retriever", "toilet tissue"),
    ]


def test_the_weights_of_a_record_are_downloaded(repository, monkeypatch):
    """From the older release where the hub cannot be reached, with the digits of its name."""
    asked = []

    def fetch(uri, file, sha256):
        asked.append((uri, file, sha256))
        if uri.startswith("hf://"):
            raise sources.UnreachableError("no network")
        return repository[0] / "config.json"

    monkeypatch.setattr(sources, "fetch", fetch)
    locate("cs3darknet_l.c2ns_in1k")
    assert asked[0] == ("hf://timm/cs3darknet_l.c2ns_in1k", "model.safetensors", None)
    assert asked[1][0].endswith("/v0.1-tpu-weights/cs3darknet_l_c2ns-16220c5d.pth")
    assert asked[1][1:] == ("", "16220c5d")


def test_pixels_of_an_image_are_normalized_inside(repository):
    _, model = repository
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("uint8")
    config = model.backbone.get_config()
    assert (config["mean"], config["std"]) == ([0.5] * 3, [0.5] * 3)
    plain = type(model.backbone).from_config(
        {**config, "mean": None, "std": None, "include_rescaling": False}
    )
    plain.set_weights(model.backbone.get_weights())
    expected = plain.predict((image / 255 - 0.5) / 0.5, verbose=0)
    found = model.backbone.predict(image, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
