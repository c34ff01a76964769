"""ONNX exports of YOLOX with folded batch normalizations."""

import numpy as np
import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.architecture import conv_units, unit_variables
from cspdarknet.checkpoints.readers.onnx import read_onnx
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector, load_model
from onnx_files import ACTIVATIONS, yolox_onnx
from support import NANO, needs_nano, randomize, to_numpy
from yolox_files import yolox_like

onnx = pytest.importorskip("onnx")


def detector(**changes):
    backbone = yolox_like(stackwise_channels=[4, 6, 8], stackwise_depth=[1, 2, 1], **changes)
    head = {"image_size": 32, "neck_depth": 2, "head_channels": 10}
    model = YOLOXDetector(backbone, 3, **head)
    for layer in model.layers[len(backbone.layers) :]:
        if layer.weights:
            randomize(layer)
    return model


@pytest.fixture
def write(tmp_path):
    def write(model, change=None, **settings):
        proto = onnx.load_from_string(yolox_onnx(model, **settings))
        if change is not None:
            change(proto)
        (tmp_path / "a.onnx").write_bytes(proto.SerializeToString())
        return tmp_path / "a.onnx"

    return write


@pytest.mark.one_backend
@pytest.mark.parametrize("use_depthwise", [False, True])
def test_kernels_and_biases(use_depthwise, write):
    model = yolox_like(use_depthwise=use_depthwise)
    loaded = load_model(write(model))
    assert type(loaded) is CSPDarkNetBackbone
    assert (loaded.stackwise_depth, loaded.use_depthwise) == ([1, 2], use_depthwise)
    for unit in conv_units(model):
        kernel, (gamma, beta, _, variance) = unit_variables(loaded, unit)
        expected_kernel, (_, expected_beta, *_) = unit_variables(model, unit)
        np.testing.assert_array_equal(to_numpy(kernel), to_numpy(expected_kernel))
        np.testing.assert_array_equal(to_numpy(beta), to_numpy(expected_beta))
        scale = to_numpy(gamma) / np.sqrt(to_numpy(variance) + 1e-3)
        np.testing.assert_allclose(scale, 1, rtol=1e-6)


@pytest.fixture(scope="module")
def plain_detector():
    return detector()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_detector_computes_what_its_graph_computes(activation, plain_detector, write):
    ort = pytest.importorskip("onnxruntime")
    path = write(plain_detector, activation=activation)
    loaded = load_model(path)
    assert loaded.backbone.activation == activation.split()[0]
    assert (loaded.neck_depth, loaded.head_channels, loaded.num_classes) == (2, 10, 3)
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 64, 3)).astype("float32")
    outputs = loaded.predict_on_batch(images)
    session = ort.InferenceSession(path)
    bgr = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2))
    expected = session.run(None, {"images": bgr})
    for i, name in enumerate(("classes", "boxes", "objectness")):
        levels = [
            array.reshape(*array.shape[:2], -1).transpose(0, 2, 1) for array in expected[i::3]
        ]
        reference = np.concatenate(levels, 1)
        error = np.abs(np.asarray(outputs[name]) - reference).max() / np.abs(reference).max()
        assert error < 1e-4, name


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("size", "image_size"), [((640, 640), 640), ((480, 640), 640), ((33, 60), 64)]
)
def test_the_image_size_of_the_graph(size, image_size, write):
    assert read_onnx(write(yolox_like(), size=size)).image_size == image_size
    assert read_onnx(write(yolox_like())).image_size is None


@pytest.mark.one_backend
def test_half_precision(write):
    def halve(proto):
        for item in proto.graph.initializer:
            array = onnx.numpy_helper.to_array(item)
            if array.dtype == np.float32:
                half = onnx.numpy_helper.from_array(array.astype("float16"), item.name)
                item.CopyFrom(half)

    arrays = read_onnx(write(yolox_like(), halve)).arrays
    assert {array.dtype.name for array in arrays.values()} == {"float32"}
    variance = arrays["backbone.backbone.stem.conv.bn.running_var"]
    np.testing.assert_allclose(variance, 0.999)  # float16 has no such number


@pytest.mark.one_backend
def test_another_neck_leaves_the_backbone(write):
    def cut(proto):
        resize = next(node for node in proto.graph.node if node.op_type == "Resize")
        resize.attribute[0].s = b"linear"

    weights = read_onnx(write(detector(), cut))
    assert not any(name.startswith("head.") for name in weights.arrays)
    assert "does not repeat pixels" in weights.notes[0]


def nodes(proto, op_type):
    return [node for node in proto.graph.node if node.op_type == op_type]


def set_ints(node, name, values):
    (attribute,) = [a for a in node.attribute if a.name == name]
    attribute.ints[:] = values


def without_biases(proto):
    for node in nodes(proto, "Conv"):
        del node.input[2]


def external(proto):
    proto.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def quantized(proto):
    proto.graph.node.append(onnx.helper.make_node("QuantizeLinear", ["a", "b"], ["c"]))


def other_slices(proto):
    concat = nodes(proto, "Concat")[0]
    concat.input[1], concat.input[2] = concat.input[2], concat.input[1]


def other_branches(proto):
    concat = nodes(proto, "Concat")[1]
    concat.input[0], concat.input[1] = concat.input[1], concat.input[0]


def no_sum(proto):
    node = nodes(proto, "Add")[0]
    for user in proto.graph.node:
        for i, name in enumerate(user.input):
            if name == node.output[0]:
                user.input[i] = node.input[1]
    proto.graph.node.remove(node)


def focus_outside(proto):
    concat = nodes(proto, "Concat")[0]
    for user in nodes(proto, "Conv"):
        if user.input[0] == concat.output[0]:
            user.input[0] = "images"
    proto.graph.node.remove(concat)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 12


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_biases, "not folded"),
        (external, "keeps weights in other files"),
        (quantized, "is quantized"),
        (lambda proto: proto.graph.node.remove(nodes(proto, "Concat")[0]), "no Concat of Focus"),
        (lambda proto: proto.graph.initializer.pop(-1), "no constant kernel and bias"),
        (
            lambda proto: proto.graph.initializer.pop(3),
            "slices of its Focus are not those of YOLOX",
        ),
        (other_slices, "slices of its Focus are not those of YOLOX"),
        (other_branches, "does not join its two branches"),
        (no_sum, "does not add its input"),
        (focus_outside, r"Focus is outside the graph, which takes 12 channels.*export the model"),
        (
            lambda proto: set_ints(nodes(proto, "Conv")[0], "pads", [0] * 4),
            r"stem.conv.conv has the padding \[0, 0, 0, 0\], and \[1, 1, 1, 1\] in YOLOX",
        ),
        (lambda proto: set_ints(nodes(proto, "Conv")[1], "strides", [1, 1]), "with stride 2"),
        (lambda proto: set_ints(nodes(proto, "MaxPool")[0], "strides", [2, 2]), "0, 9, 13"),
    ],
)
def test_other_graphs(change, message, write, refuses):
    refuses(write(yolox_like(), change), message)


@pytest.mark.one_backend
def test_other_poolings(write, refuses):
    message = r"pools windows of \[3, 5, 7\] pixels, and a CSPDarkNet pools \[5, 9, 13\]"
    refuses(write(yolox_like(), pools=(3, 5, 7)), message)


@pytest.mark.one_backend
def test_several_activations(write, refuses):
    def change(proto):
        node = nodes(proto, "Relu")[-1]
        node.op_type = "HardSwish"

    refuses(
        write(yolox_like(), change, activation="relu"), "several activations, hard_swish and relu"
    )


@pytest.mark.one_backend
def test_files_larger_than_onnx_allows(write, monkeypatch, refuses):
    monkeypatch.setattr("cspdarknet.checkpoints.readers.onnx.MAX_BYTES", 10)
    refuses(write(yolox_like()), "larger than an ONNX file can be")


@pytest.mark.one_backend
@needs_nano
def test_a_graph_without_its_stem(tmp_path):
    model = onnx.load(NANO / "yolox_nano.onnx")
    del model.graph.node[9]  # the stem's convolution
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(CheckpointError, match="not a YOLOX with a CSPDarkNet"):
        read_onnx(tmp_path / "a.onnx")


@pytest.mark.one_backend
@needs_nano
def test_the_weights_of_the_official_file():
    """They are those of the same model's `.pth` file, with batch normalization folded."""
    from cspdarknet.checkpoints.formats import open_checkpoint

    weights = read_onnx(NANO / "yolox_nano.onnx")
    assert (weights.activation, weights.image_size, weights.notes) == ("silu", 416, ())
    with open_checkpoint(NANO / "yolox_nano.pth") as checkpoint:
        assert set(checkpoint.shapes) == set(weights.arrays)
        for name in ("head.cls_preds.2.bias", "backbone.C3_p4.conv3.conv.weight"):
            assert checkpoint.shapes[name] == weights.arrays[name].shape
