"""What a model is that is given by name, folder or file."""

import pytest

from cspdarknet import conversion
from cspdarknet.models import ImageClassifier
from cspdarknet.presets.identification import identify_model
from yolox_files import build

pytestmark = pytest.mark.one_backend


def test_a_bundled_preset():
    file = identify_model("yolox_nano_bccd")
    assert (file.description, file.license) == ("the preset yolox_nano_bccd", "MIT")
    assert (file.task, file.class_names) == ("detection", ("Platelets", "RBC", "WBC"))
    assert file.num_parameters == 912_536


def test_a_preset_that_is_not_downloaded():
    file = identify_model("yolox_s_coco")
    assert (file.task, file.num_classes, file.image_size) == ("detection", 80, 640)
    assert (file.license, file.sha256) == ("Apache-2.0", None)


def test_a_preset_folder(tmp_path):
    ImageClassifier(build(), 2, class_names=["cat", "dog"]).save_to_preset(tmp_path / "preset")
    for source in (tmp_path / "preset", str(tmp_path / "preset" / "model.weights.h5")):
        file = identify_model(source)
        assert (file.task, file.class_names) == ("classification", ("cat", "dog"))


def test_files_alone(tmp_path):
    conversion.save(build(), tmp_path / "a.weights.h5")
    file = identify_model(tmp_path / "a.weights.h5")
    assert (file.task, len(file.sha256)) == (None, 64)
    (tmp_path / "saved_model.pb").touch()
    assert identify_model(tmp_path).description == "a TensorFlow SavedModel"
    with pytest.raises(ValueError, match="Unknown preset"):
        identify_model("no_such_model")
