"""The `config.json` of a preset folder."""

import pytest

from cspdarknet.presets.config import CONFIG, read_config

pytestmark = pytest.mark.one_backend


def test_a_saved_config(preset):
    assert read_config(preset / CONFIG)["class_name"] == "CSPDarkNetBackbone"


def test_missing_and_malformed_files(tmp_path):
    with pytest.raises(ValueError, match=r"is not a preset: it has no config\.json"):
        read_config(tmp_path / CONFIG)
    (tmp_path / CONFIG).write_text("[")
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        read_config(tmp_path / CONFIG)


def test_a_file_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("cspdarknet.presets.config.MAX_CONFIG_BYTES", 10)
    monkeypatch.setattr("cspdarknet.checkpoints.config.MAX_CONFIG_BYTES", 10)
    (tmp_path / CONFIG).write_text('{"class_name": "CSPDarkNetBackbone"}')
    with pytest.raises(ValueError, match="11 bytes, too many"):
        read_config(tmp_path / CONFIG)
