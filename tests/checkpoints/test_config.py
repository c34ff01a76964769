"""Constructor arguments from untrusted files."""

import json

import pytest

from cspdarknet.checkpoints.config import MAX_CONFIG_BYTES, ModelConfig, parse_config

pytestmark = pytest.mark.one_backend

BACKBONE = {"class_name": "CSPDarkNetBackbone", "config": {"stackwise_depth": [1]}}


def test_tasks():
    head = {"num_classes": 3}
    assert ModelConfig({}).task == "features"
    assert ModelConfig({}, head).task == "classification"
    assert ModelConfig({}, {**head, "bounding_box_format": "xyxy"}).task == "detection"


def test_backbone_and_head_are_split():
    arguments = {"backbone": BACKBONE, "num_classes": 3}
    config = ModelConfig.from_arguments(arguments)
    assert (config.backbone, config.head) == (BACKBONE["config"], {"num_classes": 3})
    assert arguments["backbone"] is BACKBONE
    assert ModelConfig.from_arguments({"stackwise_depth": [1]}).head is None


@pytest.mark.parametrize("backbone", [5, {"class_name": "Popen", "config": {}}, {"config": {}}])
def test_other_backbones(backbone):
    with pytest.raises(ValueError, match="backbone of a model must be a CSPDarkNetBackbone"):
        ModelConfig.from_arguments({"backbone": backbone})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[1]", "no 'config' entry"),
        (b'{"config": 1}', "no 'config' entry"),
        (b'{"class_name": "X", "config": {}}', "Received: a 'X'"),
        (b'{"class_name": "CSPDarkNetBackbone", "config": {"backbone": 1}}', "with a backbone"),
        (b'{"class_name": "ImageClassifier", "config": {}}', "with a backbone"),
        (b" " * (MAX_CONFIG_BYTES + 1), "too many for the config"),
    ],
)
def test_malformed_configs(text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_config(text, "a.json")
    assert "a.json" in str(error.value)


def test_a_config_is_returned_as_it_is():
    assert parse_config(json.dumps(BACKBONE).encode(), "a.json") == BACKBONE
