"""Models of the server: names, thresholds, and the trial run at the start."""

import numpy as np
import pytest

from cspdarknet import Predictor
from cspdarknet.detections import DetectionOptions
from cspdarknet.export import export
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.serve import ServedModel, load_models
from cspdarknet.serve.models import named_source, try_out
from served_models import Backbone
from support import TINY_NET, randomize

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ("yolox_nano_bccd", "yolox_nano_bccd", "yolox_nano_bccd"),
        ("cells=yolox_nano_bccd", "cells", "yolox_nano_bccd"),
        ("runs/a/", "a", "runs/a/"),
        ("runs/a.onnx", "a", "runs/a.onnx"),
        ("a=runs/b=c.onnx", "a", "runs/b=c.onnx"),
        ("runs/b=c", "b=c", "runs/b=c"),
        ("hf://user/model", "model", "hf://user/model"),
        ("=a", "=a", "=a"),
    ],
)
def test_names(text, name, source):
    assert named_source(text) == (name, source)


def test_names_must_differ():
    with pytest.raises(ValueError, match="a twice: put another name"):
        load_models(["a=yolox_nano_bccd", "runs/a"])


def test_requests_choose_any_threshold_and_get_what_the_model_would_give(tmp_path):
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
    detector = randomize(YOLOXDetector(backbone, 2, image_size=64, score_threshold=0.4), seed=2)
    detector.save_to_preset(tmp_path / "cells")
    options = DetectionOptions(max_detections=20)
    [model] = load_models([str(tmp_path / "cells")], options=options, runtime="keras")
    assert (model.score_threshold, model.lowest_score_threshold) == (0.4, 0.05)
    image = np.random.default_rng(0).integers(0, 255, (50, 60, 3)).astype("uint8")
    everything = model.predictor(image)
    assert len(model.selected(everything, None)) == (everything.confidence >= 0.4).sum()
    threshold = float(np.median(everything.confidence))
    options = DetectionOptions(score_threshold=threshold, max_detections=20)
    expected = Predictor(detector, options=options, runtime="keras")(image)
    selected = model.selected(everything, threshold)
    assert 0 < len(selected) < len(everything)
    np.testing.assert_allclose(selected.xyxy, expected.xyxy, atol=1e-3)
    np.testing.assert_array_equal(selected.class_id, expected.class_id)


@pytest.mark.parametrize(("stored", "used"), [(None, 0.5), ((0.3, 0.6), (0.3, 0.6))])
def test_the_thresholds_of_a_multi_label_classifier(tmp_path, stored, used):
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    tags = ImageClassifier(backbone, 2, image_size=32, labels="multi", score_threshold=stored)
    tags.save_to_preset(tmp_path / "tags")
    [model] = load_models([str(tmp_path / "tags")], runtime="keras")
    assert model.score_threshold == used


def test_an_exported_backbone_keeps_its_levels(tmp_path):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=False)
    export(backbone.feature_pyramid(["P2", "P3"]), tmp_path / "pyramid.onnx")
    [model] = load_models([str(tmp_path / "pyramid.onnx")])
    assert (model.name, model.info.task) == ("pyramid", "features")
    assert set(model.predictor(np.zeros((64, 2000, 3), "uint8"))) == {"P2", "P3"}


def test_a_model_that_cannot_predict_is_refused():
    class Damaged(Backbone):
        def __call__(self, image):
            return {"P1": np.array([1.0, np.nan])}

    class Broken(Backbone):
        def __call__(self, image):
            raise RuntimeError("out of memory")

    with pytest.raises(ValueError, match="Received: a, with NaN"):
        try_out(ServedModel("a", Damaged()))
    with pytest.raises(ValueError, match="b cannot predict: out of memory"):
        try_out(ServedModel("b", Broken()))
