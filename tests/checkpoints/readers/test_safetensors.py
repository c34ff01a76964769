"""`.safetensors` files."""

import json
import struct

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.readers import safetensors
from cspdarknet.models import CSPDarkNetBackbone
from yolox_files import NET, build

pytestmark = pytest.mark.one_backend
pytest.importorskip("safetensors")


@pytest.fixture
def path(tmp_path):
    conversion.save(build(), tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def test_config(path):
    with open_checkpoint(path) as checkpoint:
        config = checkpoint.config()
    assert config.backbone["stackwise_channels"] == NET["stackwise_channels"]
    assert config.backbone["include_rescaling"] is False


def test_files_of_other_programs(path, tmp_path):
    arrays, _ = safetensors.read(path)
    import safetensors.numpy as writer

    writer.save_file(arrays, tmp_path / "b.safetensors")
    with open_checkpoint(tmp_path / "b.safetensors") as checkpoint:
        assert checkpoint.config().backbone == {}


def test_weights_of_other_architectures(path, refuses):
    model = CSPDarkNetBackbone([4, 6, 8], [1, 2, 1], include_rescaling=False)
    refuses(path, "weights of the model are missing", model)


@pytest.mark.parametrize("config", ["[1]", "5"])
def test_malformed_configs(config, tmp_path, refuses):
    header = {"__metadata__": {safetensors.CONFIG: config}}
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    refuses(tmp_path / "a.safetensors", "malformed config")


def test_half_precision(tmp_path):
    arrays = {"a": np.array([1.5, -2], "float16")}
    safetensors.write(tmp_path / "a.safetensors", arrays, {})
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        array = checkpoint.read("a")
    assert array.dtype == "float32"
    np.testing.assert_array_equal(array, [1.5, -2])
