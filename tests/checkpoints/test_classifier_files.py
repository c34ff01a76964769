"""Classifiers and their backbones in presets and weight files, damaged and hostile ones too."""

import json
import shutil

import h5py
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from cspdarknet import checkpoints
from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.readers import hdf5
from cspdarknet.cli import app
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.presets import download, records
from cspdarknet.presets.save import save_preset
from cspdarknet.presets.upload import model_card
from support import TINY_NET, assert_same_weights, randomize, relative_error, to_numpy
from yolox_files import build as build_backbone

NAMES = ["cat", "dog", "owl"]
NET = {**TINY_NET, "include_rescaling": True}


def build(**changes):
    arguments = {"num_classes": 3, "class_names": NAMES, **changes}
    return randomize(ImageClassifier(CSPDarkNetBackbone(**NET), **arguments))


def same_backbone(a, b):
    assert_same_weights(getattr(a, "backbone", a), getattr(b, "backbone", b))


def kernel(model):
    return to_numpy(model.get_layer("predictions").kernel)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "preset"
    build(dropout=0.5, image_size=48).save_to_preset(folder)
    return folder


@pytest.fixture
def preset(saved, tmp_path):
    """A preset that the test may damage."""
    return shutil.copytree(saved, tmp_path / "preset")


class TestPresets:
    def test_round_trip(self, preset):
        model = ImageClassifier.from_preset(preset)
        assert_same_weights(model, build(dropout=0.5))
        assert (model.class_names, model.image_size, model.dropout) == (tuple(NAMES), 48, 0.5)
        fresh = ImageClassifier.from_preset(str(preset), load_weights=False)
        assert fresh.get_config() == model.get_config()
        assert not np.array_equal(kernel(fresh), kernel(model))
        with pytest.raises(ValueError, match="load_weights"):
            ImageClassifier.from_preset(preset, load_weights="yes")

    def test_its_backbone(self, preset):
        model = CSPDarkNetBackbone.from_preset(preset)
        assert type(model) is CSPDarkNetBackbone
        assert_same_weights(model, build().backbone)

    @pytest.mark.one_backend
    def test_the_same_number_of_classes_keeps_the_head(self, preset):
        names = build().class_names
        model = ImageClassifier.from_preset(preset, num_classes=3, class_names=names)
        assert_same_weights(model, build())
        assert model.class_names == names

    @pytest.mark.one_backend
    def test_other_classes_of_the_same_number_are_a_new_head(self, preset):
        model = ImageClassifier.from_preset(preset, num_classes=3, class_names=["a", "b", "c"])
        same_backbone(model, build())
        assert not np.array_equal(kernel(model), kernel(build()))
        assert model.class_names == ("a", "b", "c")

    @pytest.mark.one_backend
    @pytest.mark.parametrize("names", [None, ["a", "b"]])
    def test_another_number_of_classes_is_a_new_head(self, preset, names):
        given = {} if names is None else {"class_names": names}
        model = ImageClassifier.from_preset(preset, num_classes=2, pooling="max", **given)
        same_backbone(model, build())
        assert kernel(model).shape == (6, 2)
        assert (model.class_names, model.pooling) == (names and tuple(names), "max")
        assert (model.dropout, model.image_size) == (0.5, 48)

    @pytest.mark.one_backend
    def test_a_backbone_preset_needs_the_number_of_classes(self, tmp_path):
        inner = randomize(CSPDarkNetBackbone(**NET))
        inner.save_to_preset(tmp_path / "p")
        with pytest.raises(ValueError, match=r"is a backbone without.*pass `num_classes`"):
            ImageClassifier.from_preset(tmp_path / "p")
        model = ImageClassifier.from_preset(tmp_path / "p", num_classes=4, name="mine", dropout=0.1)
        same_backbone(model, inner)
        assert (model.name, model.backbone.name, model.dropout) == ("mine", inner.name, 0.1)

    @pytest.mark.one_backend
    def test_a_named_architecture(self):
        model = ImageClassifier.from_preset("csp_darknet_tiny", num_classes=2)
        assert model.count_params() == 2_380_416 + 2 * 385
        with pytest.raises(ValueError, match="without trained weights"):
            ImageClassifier.from_preset("csp_darknet_tiny", load_weights=True, num_classes=2)

    def test_arguments_of_both_parts(self, preset):
        model = ImageClassifier.from_preset(
            preset,
            input_shape=(32, 48, 3),
            activation=None,
            dropout=0,
            image_size=None,
            trainable=False,
            dtype="mixed_bfloat16",
            batch_norm_momentum=0.9,
            frozen_layers=["stem_conv_bn"],
        )
        assert_same_weights(model, build())
        assert model.input_shape == (None, 32, 48, 3)
        assert (model.activation, model.dropout, model.image_size) == (None, 0, None)
        assert not model.trainable_variables
        policies = [layer.dtype_policy.name for layer in model.layers]
        assert policies == ["float32", "mixed_bfloat16", "float32", "float32"]
        assert model.dtype_policy.name == "mixed_bfloat16"
        assert model.backbone.batch_norm_momentum == 0.9
        first = ImageClassifier.from_preset(preset, data_format="channels_first")
        assert first.input_shape == (None, 3, None, None)
        assert_same_weights(first, build())

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        "override", [{"pooling": "max"}, {"include_rescaling": False}, {"stackwise_depth": [1, 2]}]
    )
    def test_arguments_that_the_weights_cannot_follow(self, preset, override):
        with pytest.raises(ValueError, match="mean nothing with"):
            ImageClassifier.from_preset(preset, **override)
        ImageClassifier.from_preset(preset, load_weights=False, **override)

    @pytest.mark.one_backend
    def test_unknown_arguments(self, preset):
        with pytest.raises(ValueError, match="foo"):
            ImageClassifier.from_preset(preset, foo=1)

    @pytest.mark.one_backend
    def test_replacing_a_preset_of_the_other_kind(self, preset):
        build_backbone().save_to_preset(preset)
        assert CSPDarkNetBackbone.from_preset(preset).stackwise_depth == [1, 2]
        build().save_to_preset(preset)
        assert_same_weights(ImageClassifier.from_preset(preset), build())

    @pytest.mark.one_backend
    def test_tables(self):
        assert ImageClassifier.presets == CSPDarkNetBackbone.presets
        both = ImageClassifier.presets_with_weights | ImageClassifier.presets_without_weights
        assert both == ImageClassifier.presets
        assert "csp_darknet_tiny_imagenet" in ImageClassifier.presets_with_weights

    @pytest.mark.one_backend
    def test_kaggle(self, preset, monkeypatch):
        import kagglehub

        asked = []

        def download_one(handle, path):
            asked.append(path)
            return str(preset / path)

        monkeypatch.setattr(kagglehub, "model_download", download_one)
        assert_same_weights(ImageClassifier.from_preset("kaggle://me/net/keras/v"), build())
        assert asked == ["config.json", "model.weights.h5"]
        assert_same_weights(checkpoints.load("kaggle://me/net/keras/v"), build())

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda c: c.update(class_name="CSPDarkNetBackbone"), "with a backbone"),
            (lambda c: c["config"].pop("backbone"), "with a backbone"),
            (lambda c: c["config"].update(backbone=5), "backbone must be"),
            (
                lambda c: c["config"]["backbone"].update(class_name="Popen"),
                "Popen",
            ),
            (lambda c: c["config"]["backbone"].pop("config"), "backbone must be"),
            (lambda c: c["config"]["backbone"]["config"].pop("stackwise_depth"), "malformed"),
            (lambda c: c["config"].pop("num_classes"), "num_classes"),
            (lambda c: c["config"].update(num_classes=10**12), "at most"),
            (lambda c: c["config"].update(num_classes=4, class_names=None), r"\(6, 3\).*\(6, 4\)"),
            (lambda c: c["config"].update(class_names=list("aab")), "different"),
            (lambda c: c["config"].update(name=5), "name"),
            (
                lambda c: c["config"].update(
                    activation={"class_name": "function", "module": "os", "config": "system"}
                ),
                "activation",
            ),
        ],
    )
    def test_damaged_and_hostile_configs(self, preset, change, message):
        config = json.loads((preset / "config.json").read_text())
        change(config)
        (preset / "config.json").write_text(json.dumps(config))
        with pytest.raises(ValueError, match=message):
            ImageClassifier.from_preset(preset)


@pytest.mark.one_backend
class TestBoxed:
    """A classifier inside the package, with weights of half the size."""

    NAME = "csp_darknet_tiny_toys"

    @pytest.fixture
    def model(self, tmp_path, monkeypatch):
        monkeypatch.setattr(records, "BUNDLED", tmp_path)
        record = records._bundled(self.NAME, size="tiny", dataset="toys", accuracy="99 %")
        monkeypatch.setitem(records.PRESETS, self.NAME, record)
        model = build(dropout=0.5)
        save_preset(model, record.folder, {"name": "a test"}, weights_dtype="float16")
        for variable in model.weights:
            variable.assign(to_numpy(variable).astype("float16").astype("float32"))
        return model

    @pytest.fixture(autouse=True)
    def _no_downloads(self, monkeypatch):
        monkeypatch.setattr(download, "_from_url", pytest.fail)

    def test_classifier_and_backbone(self, model, tmp_path):
        with h5py.File(tmp_path / self.NAME / "model.weights.h5") as file:
            kinds = {item.dtype for item in hdf5.datasets(file).values()}
        assert kinds == {np.dtype("float16")}
        assert_same_weights(ImageClassifier.from_preset(self.NAME), model)
        assert ImageClassifier.from_preset(self.NAME).backbone.dtype == "float32"
        assert_same_weights(CSPDarkNetBackbone.from_preset(self.NAME), model.backbone)
        assert_same_weights(checkpoints.load(self.NAME), model)
        ImageClassifier.from_preset(self.NAME, load_weights=True)

    def test_keras_reads_the_half_precision_weights(self, model, tmp_path):
        other = build(dropout=0.5)
        other.load_weights(tmp_path / self.NAME / "model.weights.h5")
        assert_same_weights(other, model)

    def test_tables(self, model):
        entry = ImageClassifier.presets_with_weights[self.NAME]
        assert entry["has_head"]
        assert "Trained on toys: 99 %." in entry["metadata"]["description"]
        assert not ImageClassifier.presets["csp_darknet_tiny_imagenet"]["has_head"]

    def test_figures_are_those_of_the_rounded_weights(self, model):
        done = CliRunner().invoke(app, ["verify", self.NAME], env={"COLUMNS": "120"})
        assert done.exit_code == 0, done.output
        assert done.output.count("equal") == 4
        assert {"P2", "P3", "logits", "probs"} <= set(done.output.split())

    @pytest.mark.parametrize("value", [1e5, -1e5, np.nan])
    def test_weights_that_half_precision_cannot_hold(self, value, tmp_path):
        model = build()
        beta = model.backbone.get_layer("stem_conv_bn").beta
        beta.assign(np.full(beta.shape, value))
        with pytest.raises(ValueError, match=r"value of (100000|nan).*holds up to 65504"):
            save_preset(model, tmp_path / "p", weights_dtype="float16")
        assert not list(tmp_path.iterdir())


class TestWeightFiles:
    @pytest.mark.parametrize("name", ["a.safetensors", "a.keras", "a"])
    def test_every_variable_is_bit_equal(self, name, tmp_path):
        if name.endswith("safetensors"):
            pytest.importorskip("safetensors")
        model = build(dropout=0.5)
        model.backbone.freeze("stem")
        checkpoints.save(model, tmp_path / name)
        again = checkpoints.load(tmp_path / name)
        assert type(again) is ImageClassifier
        assert_same_weights(model, again)
        assert again.get_config() == model.get_config()
        inner = CSPDarkNetBackbone(**NET)
        if name != "a":
            file = tmp_path / name
        else:
            file = tmp_path / "a" / "model.weights.h5"
            assert_same_weights(checkpoints.load(file), model)
        if name != "a.keras":
            checkpoints.load_weights(inner, file)
            assert_same_weights(inner, model.backbone)

    @pytest.mark.one_backend
    def test_a_bare_weight_file(self, tmp_path):
        model = build()
        checkpoints.save(model, tmp_path / "a.weights.h5")
        with pytest.raises(CheckpointError, match="does not tell its architecture"):
            checkpoints.load(tmp_path / "a.weights.h5")
        again = checkpoints.load(tmp_path / "a.weights.h5", num_classes=3, **NET)
        assert_same_weights(model, again)
        assert_same_weights(checkpoints.load(tmp_path / "a.weights.h5", **NET), model.backbone)

    def test_arguments_in_place_of_the_stored_ones(self, tmp_path):
        pytest.importorskip("safetensors")
        checkpoints.save(build(), tmp_path / "a.safetensors")
        model = checkpoints.load(
            tmp_path / "a.safetensors", dtype="mixed_bfloat16", activation=None, name="mine"
        )
        assert_same_weights(model, build())
        assert (model.name, model.activation) == ("mine", None)
        assert model.backbone.dtype_policy.name == "mixed_bfloat16"
        with pytest.raises(CheckpointError, match="predictions/kernel"):
            checkpoints.load(tmp_path / "a.safetensors", num_classes=4, class_names=None)

    def test_a_trained_model_inside_a_keras_file(self, tmp_path):
        model = build(dropout=0.5)
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(np.ones((2, 16, 16, 3)), np.array([0, 1]), verbose=0)
        model.save(tmp_path / "a.keras")
        assert_same_weights(checkpoints.load(tmp_path / "a.keras"), model)
        again = keras.saving.load_model(tmp_path / "a.keras")
        assert_same_weights(again, model)
        assert int(again.optimizer.iterations) == 1
        model.save_weights(tmp_path / "b.weights.h5")
        other = build()
        checkpoints.load_weights(other, tmp_path / "b.weights.h5")
        assert_same_weights(other, model)
        checkpoints.save(model, tmp_path / "c.weights.h5")
        with h5py.File(tmp_path / "c.weights.h5") as file:
            assert "optimizer" not in file

    @pytest.mark.one_backend
    def test_a_model_of_the_users_own_with_these_layers(self, tmp_path):
        model = build()
        inner = CSPDarkNetBackbone(**NET)
        own = keras.Sequential(
            [inner, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")]
        )
        own.set_weights(model.get_weights())
        own.save_weights(tmp_path / "a.weights.h5")
        other = ImageClassifier(CSPDarkNetBackbone(**NET), 3)
        checkpoints.load_weights(other, tmp_path / "a.weights.h5")
        assert_same_weights(other, model)

    @pytest.mark.one_backend
    def test_yolox_has_no_place_for_a_head(self, state_dict, tmp_path):
        model = ImageClassifier(checkpoints.load(state_dict), 3)
        with pytest.raises(ValueError, match=r"save `model\.backbone`"):
            checkpoints.save(model, tmp_path / "a.pth")
        assert not list(tmp_path.iterdir())
        with pytest.raises(CheckpointError, match="holds no classifier's head"):
            checkpoints.load_weights(model, state_dict)
        checkpoints.save(model.backbone, tmp_path / "a.pth")

    @pytest.mark.one_backend
    def test_other_models(self, tmp_path):
        other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        with pytest.raises(ValueError, match=r"must be a CSPDarkNetBackbone.*a Sequential"):
            checkpoints.load_weights(other, tmp_path / "a.weights.h5")
        with pytest.raises(ValueError, match=r"must be a CSPDarkNetBackbone.*a Sequential"):
            checkpoints.save(other, tmp_path / "a.safetensors")


DENSE = "layers/dense/vars"


def replace(name, data):
    def change(file):
        del file[f"{DENSE}/{name}"]
        file[f"{DENSE}/{name}"] = data

    return change


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("0", np.full((6, 3), np.nan)), "NaN"),
        (replace("1", np.full(3, np.inf)), "infinite"),
        (replace("0", np.zeros((6, 4))), r"\(6, 4\).*\(6, 3\)"),
        (replace("1", np.full(3, b"x")), "not numbers"),
        (lambda file: file.__delitem__(f"{DENSE}/1"), "no classifier's head with kernel and bias"),
        (lambda file: file.__delitem__(DENSE), "no classifier's head"),
        (lambda file: file.create_dataset(f"{DENSE}/2", data=1.0), "no place in the model"),
        (lambda file: file.create_dataset("layers/dense_1/vars/0", data=1.0), "no place in"),
        (
            lambda file: file.__delitem__("layers/csp_dark_net_backbone/layers/conv2d/vars/0"),
            "missing",
        ),
    ],
)
def test_damaged_weight_files(change, message, preset):
    path = preset / "model.weights.h5"
    with h5py.File(path, "r+") as file:
        change(file)
    model = ImageClassifier(CSPDarkNetBackbone(**NET), 3)
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.load_weights(model, path)
    assert str(path) in str(error.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.one_backend
class TestCommands:
    def run(self, *args):
        return CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "120"})

    def test_convert_and_verify(self, tmp_path):
        model = build()
        model.save(tmp_path / "a.keras")
        done = self.run("convert", tmp_path / "a.keras", tmp_path / "preset")
        assert done.exit_code == 0, done.output
        assert_same_weights(ImageClassifier.from_preset(tmp_path / "preset"), model)
        done = self.run("verify", tmp_path / "preset")
        assert done.exit_code == 0, done.output
        assert done.output.count("equal") == 4

        weights = tmp_path / "preset" / "model.weights.h5"
        model.get_layer("predictions").bias.assign([1.0, 0.0, 0.0])
        checkpoints.save(model, weights)
        done = self.run("verify", tmp_path / "preset")
        assert done.exit_code == 1
        assert (done.output.count("equal"), done.output.count("DIFFERENT")) == (2, 2)

    def test_golden_file(self, photo, tmp_path):
        model = build()
        checkpoints.save(model, tmp_path / "preset")
        np.savez(tmp_path / "io.npz", x=photo, probs=to_numpy(model(photo)), extra=np.ones(3))
        done = self.run("verify", tmp_path / "preset", "--golden", tmp_path / "io.npz")
        assert done.exit_code == 0, done.output
        assert done.output.count("equal") == 1
        checkpoints.save(model.backbone, tmp_path / "backbone")
        done = self.run("verify", tmp_path / "backbone", "--golden", tmp_path / "io.npz")
        assert "no input `x` with what this model computes" in str(done.exception)


@pytest.mark.one_backend
class TestModelCard:
    URI = "hf://me/net"

    def test_classifier(self):
        card = model_card(self.URI, build(image_size=48).get_config(), {})
        assert "pipeline_tag: image-classification\n" in card
        assert "- classifier\n" in card
        assert "| classes | 3: cat, dog, owl |\n| trained on images of | 48 x 48 pixels |\n" in card
        assert "| channels of P2, P3, ... | [4, 6] |" in card
        code = card.split("```python\n")[1].split("```")[0]
        assert "import CSPDarkNetBackbone, ImageClassifier\n" in code
        assert f'ImageClassifier.from_preset("{self.URI}")\n' in code

    def test_without_names_or_size(self):
        card = model_card(self.URI, build(class_names=None).get_config(), {})
        assert "| classes | 3: not named |\n| channels" in card

    def test_backbone(self):
        card = model_card(self.URI, build().backbone.get_config(), {})
        assert "pipeline_tag: image-feature-extraction\n" in card
        assert "classes" not in card
        assert 'feature_pyramid(["P3", "P4", "P5"])\n```\n' in card


def test_outputs_are_the_same_after_every_way(photo, tmp_path):
    """The weights could be equal and their order of use not."""
    model = build(dropout=0.5, pooling="max")
    model.save_to_preset(tmp_path / "p")
    again = ImageClassifier.from_preset(tmp_path / "p")
    assert relative_error(again(photo), to_numpy(model(photo))) <= 1e-6
