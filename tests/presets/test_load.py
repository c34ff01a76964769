"""Models from presets, with other arguments in place of the preset's."""

import json
import shutil

import keras
import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets import records
from cspdarknet.presets.save import save_preset
from support import assert_same_weights, relative_error, to_numpy
from yolox_files import yolox_like


def same_backbone(a, b):
    assert_same_weights(getattr(a, "backbone", a), getattr(b, "backbone", b))


def kernel(model):
    return to_numpy(model.get_layer("predictions").kernel)


class TestBackbones:
    def test_weights_and_random_weights(self, preset, backbone):
        for path in (preset, str(preset)):
            assert_same_weights(CSPDarkNetBackbone.from_preset(path), backbone)
        fresh = CSPDarkNetBackbone.from_preset(preset, load_weights=False)
        assert np.all(to_numpy(fresh.get_layer("stem_conv_bn").gamma) == 1)

    @pytest.mark.one_backend
    def test_a_named_architecture(self, offline):
        model = CSPDarkNetBackbone.from_preset(
            "csp_darknet_tiny",
            input_shape=(64, 64, 1),
            use_depthwise=True,
            include_rescaling=False,
            padding="symmetric",
            name="mine",
        )
        assert (model.input_shape, model.padding) == ((None, 64, 64, 1), "symmetric")
        assert model.name == "mine"
        with pytest.raises(ValueError, match="foo"):
            CSPDarkNetBackbone.from_preset("csp_darknet_tiny", foo=1)

    def test_free_arguments_keep_the_weights(self, preset, backbone, photo):
        changed = CSPDarkNetBackbone.from_preset(
            preset, name="x", input_shape=(37, 53, 3), trainable=False, dtype="mixed_bfloat16"
        )
        assert_same_weights(changed, backbone)
        assert not changed.trainable_variables
        images = keras.Input((37, 53, 3))
        inside = CSPDarkNetBackbone.from_preset(preset, input_tensor=images)
        np.testing.assert_array_equal(to_numpy(inside(photo)), to_numpy(backbone(photo)))

    @pytest.mark.one_backend
    def test_the_input_shape_follows_the_data_format(self, preset, backbone, tmp_path):
        first = CSPDarkNetBackbone.from_preset(preset, data_format="channels_first")
        assert first.input_shape == (None, 3, None, None)
        assert_same_weights(first, backbone)
        first.save_to_preset(tmp_path / "first")
        last = CSPDarkNetBackbone.from_preset(tmp_path / "first", data_format="channels_last")
        assert last.input_shape == (None, None, None, 3)
        shaped = CSPDarkNetBackbone.from_preset(preset, image_shape=(32, 48, 3))
        assert shaped.input_shape == (None, 32, 48, 3)

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        "override",
        [
            {"include_rescaling": False},
            {"stackwise_depth": [1, 2]},
            {"use_depthwise": True},
            {"padding": "symmetric"},
            {"batch_norm_epsilon": 1e-5},
        ],
    )
    def test_arguments_that_the_weights_cannot_follow(self, preset, override):
        with pytest.raises(ValueError, match=r"are invalid with.*load_weights=False"):
            CSPDarkNetBackbone.from_preset(preset, **override)
        model = CSPDarkNetBackbone.from_preset(preset, load_weights=False, **override)
        assert model.get_config()[next(iter(override))] == next(iter(override.values()))

    @pytest.mark.one_backend
    @pytest.mark.parametrize("name", ["a.safetensors", "a.keras"])
    @pytest.mark.parametrize("override", [{"include_rescaling": False}, {"padding": "symmetric"}])
    def test_the_same_of_weight_files(self, name, override, backbone, tmp_path):
        if name.endswith("safetensors"):
            pytest.importorskip("safetensors")
        conversion.save(backbone, tmp_path / name)
        with pytest.raises(ValueError, match="are invalid with"):
            CSPDarkNetBackbone.from_preset(tmp_path / name, **override)

    @pytest.mark.one_backend
    def test_rescaling_of_yolox_files(self, state_dict, photo):
        """The reader moves the factor into the stem, so that the outputs are the same."""
        scaled = CSPDarkNetBackbone.from_preset(state_dict, include_rescaling=True)
        assert scaled.include_rescaling
        assert relative_error(scaled(photo), to_numpy(yolox_like()(photo))) <= 1e-4
        with pytest.raises(ValueError, match="padding"):
            CSPDarkNetBackbone.from_preset(state_dict, padding="same")

    @pytest.mark.one_backend
    def test_arguments_that_change_nothing(self, preset):
        CSPDarkNetBackbone.from_preset(
            preset, include_rescaling=True, stackwise_depth=np.array([1, 1])
        )

    def test_a_model_in_front(self, tmp_path):
        images = keras.Input((16, 16, 3))
        front = keras.Sequential([keras.layers.Conv2D(3, 1)])
        model = CSPDarkNetBackbone([4, 6], [1, 1], True, input_tensor=front(images))
        model.save_to_preset(tmp_path / "p")
        again = CSPDarkNetBackbone.from_preset(tmp_path / "p")
        for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        with pytest.raises(ValueError, match="input_tensor instead of input_shape"):
            CSPDarkNetBackbone.from_preset(tmp_path / "p", input_shape=(32, 32, 3))

    @pytest.mark.one_backend
    def test_of_a_classifier(self, classifier_preset, classifier):
        model = CSPDarkNetBackbone.from_preset(classifier_preset)
        assert type(model) is CSPDarkNetBackbone
        assert_same_weights(model, classifier.backbone)


class TestClassifiers:
    def test_weights_and_random_weights(self, classifier_preset, classifier, photo):
        model = ImageClassifier.from_preset(classifier_preset)
        assert_same_weights(model, classifier)
        # The weights could be equal and their order of use not.
        assert relative_error(model(photo), to_numpy(classifier(photo))) <= 1e-6
        assert (model.class_names, model.image_size, model.dropout) == (
            ("cat", "dog", "owl"),
            48,
            0.5,
        )
        fresh = ImageClassifier.from_preset(str(classifier_preset), load_weights=False)
        assert fresh.get_config() == model.get_config()
        assert not np.array_equal(kernel(fresh), kernel(model))

    @pytest.mark.one_backend
    def test_the_same_classes_keep_the_head(self, classifier_preset, classifier):
        names = classifier.class_names
        model = ImageClassifier.from_preset(classifier_preset, num_classes=3, class_names=names)
        assert_same_weights(model, classifier)
        assert model.class_names == names

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        ("num_classes", "names"),
        [(3, ["a", "b", "c"]), (3, ["owl", "dog", "cat"]), (2, None), (2, ["a", "b"])],
    )
    def test_other_classes_are_a_new_head(self, num_classes, names, classifier_preset, classifier):
        arguments = {} if names is None else {"class_names": names}
        model = ImageClassifier.from_preset(
            classifier_preset, num_classes=num_classes, pooling="max", **arguments
        )
        same_backbone(model, classifier)
        assert kernel(model).shape == (6, num_classes)
        assert not np.array_equal(kernel(model), kernel(classifier))
        assert (model.class_names, model.pooling) == (names and tuple(names), "max")
        assert (model.dropout, model.image_size) == (0.5, 48)

    @pytest.mark.one_backend
    def test_names_of_another_type(self, classifier_preset):
        with pytest.raises(ValueError, match="`class_names` must"):
            ImageClassifier.from_preset(classifier_preset, class_names=5)

    def test_a_subclass_loads_itself(self, classifier_preset):
        class Mine(ImageClassifier):
            pass

        assert type(Mine.from_preset(classifier_preset)) is Mine

    def test_of_a_backbone(self, preset, backbone):
        with pytest.raises(ValueError, match=r"is a model for features.*pass `num_classes`"):
            ImageClassifier.from_preset(preset)
        model = ImageClassifier.from_preset(preset, num_classes=4, name="mine", dropout=0.1)
        same_backbone(model, backbone)
        assert (model.name, model.backbone.name, model.dropout) == ("mine", backbone.name, 0.1)

    @pytest.mark.one_backend
    def test_a_named_architecture(self):
        model = ImageClassifier.from_preset("csp_darknet_tiny", num_classes=2)
        assert model.count_params() == 2_380_416 + 2 * 385
        with pytest.raises(ValueError, match="without trained weights"):
            ImageClassifier.from_preset("csp_darknet_tiny", load_weights=True, num_classes=2)

    def test_arguments_of_backbone_and_head(self, classifier_preset, classifier):
        model = ImageClassifier.from_preset(
            classifier_preset,
            input_shape=(32, 48, 3),
            activation=None,
            dropout=0,
            image_size=None,
            trainable=False,
            dtype="mixed_bfloat16",
            batch_norm_momentum=0.9,
            frozen_layers=["stem_conv_bn"],
        )
        assert_same_weights(model, classifier)
        assert model.input_shape == (None, 32, 48, 3)
        assert (model.activation, model.dropout, model.image_size) == (None, 0, None)
        assert not model.trainable_variables
        policies = [layer.dtype_policy.name for layer in model.layers]
        assert policies == ["float32", "mixed_bfloat16", "float32", "float32"]
        assert model.dtype_policy.name == "mixed_bfloat16"
        assert model.backbone.batch_norm_momentum == 0.9
        first = ImageClassifier.from_preset(classifier_preset, data_format="channels_first")
        assert first.input_shape == (None, 3, None, None)
        assert_same_weights(first, classifier)

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        "override", [{"pooling": "max"}, {"include_rescaling": False}, {"stackwise_depth": [1, 2]}]
    )
    def test_arguments_that_the_weights_cannot_follow(self, classifier_preset, override):
        with pytest.raises(ValueError, match="are invalid with"):
            ImageClassifier.from_preset(classifier_preset, **override)
        ImageClassifier.from_preset(classifier_preset, load_weights=False, **override)

    @pytest.mark.one_backend
    @pytest.mark.parametrize("name", ["foo", "max_detections", "backbone"])
    def test_unknown_arguments(self, classifier_preset, name):
        with pytest.raises(ValueError, match=f"Unrecognized.*{name}"):
            ImageClassifier.from_preset(classifier_preset, **{name: 1})


@pytest.fixture(scope="module")
def detector():
    backbone = yolox_like(stackwise_channels=[4, 6, 8], stackwise_depth=[1, 2, 1])
    return YOLOXDetector(backbone, 3, image_size=32)


@pytest.fixture(scope="module")
def saved(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "detector"
    detector.save_to_preset(path)
    return path


@pytest.mark.one_backend
class TestDetectors:
    def test_of_a_yolox_backbone(self, state_dict):
        with pytest.raises(ValueError, match="pass `num_classes`"):
            YOLOXDetector.from_preset(state_dict)

    @pytest.mark.parametrize("name", ["preset", "a.safetensors", "a.keras", "a.pth"])
    def test_every_format(self, name, detector, tmp_path):
        if name.endswith("safetensors"):
            pytest.importorskip("safetensors")
        path = tmp_path / name
        conversion.save(detector, path)
        assert_same_weights(YOLOXDetector.from_preset(path), detector)
        assert_same_weights(CSPDarkNetBackbone.from_preset(path), detector.backbone)
        other = YOLOXDetector.from_preset(path, num_classes=5)
        same_backbone(other, detector)
        box_layer, class_layer = "head_p3_boxes", "head_p3_classes"
        for a, b in zip(
            other.get_layer(box_layer).get_weights(),
            detector.get_layer(box_layer).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
        assert other.get_layer(class_layer).kernel.shape[-1] == 5

    def test_thresholds_of_other_classes_do_not_survive(self, detector, tmp_path):
        arguments = {**detector.get_config(), "score_threshold": [0.1, 0.2, 0.3]}
        names = {"class_names": ["a", "b", "c"]}
        YOLOXDetector.from_config(arguments | names).save_to_preset(tmp_path / "p")
        assert YOLOXDetector.from_preset(tmp_path / "p").score_threshold == (0.1, 0.2, 0.3)
        for other in ({"num_classes": 2}, {"class_names": ["c", "b", "a"]}):
            assert YOLOXDetector.from_preset(tmp_path / "p", **other).score_threshold == 0.25
            own = YOLOXDetector.from_preset(tmp_path / "p", score_threshold=0.4, **other)
            assert own.score_threshold == 0.4

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda head: head.update(num_classes=10**12), "describes a model"),
            (lambda head: head.update(neck_depth=10**9), "describes a model"),
            (lambda head: head.update(head_channels=10**12), "describes a model"),
            (
                lambda head: head["backbone"]["config"].update(
                    stackwise_channels=[4], stackwise_depth=[1]
                ),
                "3 stages or more",
            ),
        ],
    )
    @pytest.mark.parametrize("cls", [CSPDarkNetBackbone, YOLOXDetector])
    def test_hostile_configs(self, cls, change, message, saved, tmp_path):
        path = shutil.copytree(saved, tmp_path / "p")
        config = json.loads((path / "config.json").read_text())
        change(config["config"])
        (path / "config.json").write_text(json.dumps(config))
        with pytest.raises(ValueError, match=message):
            cls.from_preset(path)

    def test_defaults_of_a_config_that_leaves_them_out(self, saved, detector, tmp_path):
        path = shutil.copytree(saved, tmp_path / "p")
        config = json.loads((path / "config.json").read_text())
        for name in ("neck_depth", "head_channels"):
            del config["config"][name]
        (path / "config.json").write_text(json.dumps(config))
        assert_same_weights(CSPDarkNetBackbone.from_preset(path), detector.backbone)


@pytest.mark.one_backend
class TestDamagedPresets:
    @pytest.mark.parametrize(
        "config",
        [
            {},
            {"input_tensor": {}},
            {"stackwise_channels": [10**30, 6]},
            {"stackwise_depth": [10**9, 1]},
            {"input_tensor": {"class_name": "Popen", "module": "subprocess", "config": {}}},
            {
                "input_tensor": {
                    "class_name": "Lambda",
                    "module": "keras.layers",
                    "config": {"function": {"class_name": "__lambda__", "config": {"code": "x"}}},
                }
            },
            {
                "input_tensor": {
                    "class_name": "Dense",
                    "module": "keras.layers",
                    "config": {"units": 1},
                }
            },
        ],
    )
    def test_hostile_backbones(self, preset, config):
        content = json.loads((preset / "config.json").read_text())
        content["config"] = {**content["config"], **config} if config else {}
        (preset / "config.json").write_text(json.dumps(content))
        with pytest.raises(ValueError):  # noqa: PT011  (the texts differ, some are Keras')
            CSPDarkNetBackbone.from_preset(preset)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda c: c.update(class_name="CSPDarkNetBackbone"), "with a backbone"),
            (lambda c: c["config"].pop("backbone"), "with a backbone"),
            (lambda c: c["config"].update(backbone=5), "backbone of a model must be"),
            (lambda c: c["config"]["backbone"].update(class_name="Popen"), "Popen"),
            (lambda c: c["config"]["backbone"].pop("config"), "backbone of a model must be"),
            (lambda c: c["config"]["backbone"]["config"].pop("stackwise_depth"), "malformed"),
            (lambda c: c["config"].pop("num_classes"), "num_classes"),
            (lambda c: c["config"].update(num_classes=10**12), "describes a model"),
            (lambda c: c["config"].update(num_classes=4, class_names=None), r"\(6, 3\).*\(6, 4\)"),
            (lambda c: c["config"].update(class_names=list("aab")), "different"),
            (lambda c: c["config"].update(name=5), "name"),
            (
                lambda c: c["config"].update(
                    activation={"class_name": "function", "module": "os", "config": "system"}
                ),
                "the class 'function' of the module 'os'",
            ),
        ],
    )
    def test_hostile_classifiers(self, classifier_preset, change, message):
        config = json.loads((classifier_preset / "config.json").read_text())
        change(config)
        (classifier_preset / "config.json").write_text(json.dumps(config))
        with pytest.raises(ValueError, match=message):
            ImageClassifier.from_preset(classifier_preset)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda p: (p / "model.weights.h5").write_bytes(b"x"),
            lambda p: shutil.copy(p / "config.json", p / "model.weights.h5"),
        ],
    )
    def test_damaged_weights(self, preset, damage):
        damage(preset)
        with pytest.raises(ValueError, match=r"damaged|not a weight file"):
            CSPDarkNetBackbone.from_preset(preset)


@pytest.mark.one_backend
def test_a_bundled_model_with_float16_weights(classifier, offline, tmp_path, monkeypatch):
    name = "csp_darknet_tiny_toys"
    monkeypatch.setattr(records, "BUNDLED", tmp_path)
    facts = {"dataset": "toys", "accuracy": "99 %", "license": "MIT"}
    record = records._bundled(name, "tiny", "classification", **facts)
    monkeypatch.setitem(records.PRESETS, name, record)
    save_preset(classifier, record.folder, {"name": "a test"}, weights_dtype="float16")
    model = ImageClassifier.from_preset(name, load_weights=True)
    assert (model.dtype, model.backbone.dtype) == ("float32", "float32")
    for stored, exact in zip(model.weights, classifier.weights, strict=True):
        np.testing.assert_array_equal(
            to_numpy(stored), to_numpy(exact).astype("float16").astype("float32")
        )
    assert_same_weights(CSPDarkNetBackbone.from_preset(name), model.backbone)
    assert all(check.passed for check in conversion.verify(name))
    entry = ImageClassifier.presets_with_weights[name]
    assert "Trained on toys: 99 %." in entry["metadata"]["description"]
