"""Recognition of other networks by the names of their weights."""

import pytest

from cspdarknet.checkpoints.families import names
from cspdarknet.checkpoints.readers import torch as torch_files

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("name", "family", "words"),
    [
        ("bbox_head.multi_level_conv_cls.0.weight", "mmdetection", "YOLOX"),
        ("bbox_head.head_module.cls_preds.0.weight", "MMYOLO", "MMYOLO"),
        ("roi_head.bbox_head.fc_cls.weight", "mmdetection", "mmdetection"),
        ("backbone.backbone.stem.0.conv.weight", "YOLOX", "Darknet-53"),
        ("model.22.dfl.conv.weight", "Ultralytics", "YOLOv8"),
        ("model.23.cv2.0.0.conv.weight", "Ultralytics", "YOLOv8"),
        ("model.24.m.0.weight", "Ultralytics", "YOLOv5"),
        ("stages.0.conv_transition.conv.weight", "timm", "CSPDarkNet"),
        ("stages.3.blocks.0.conv1.conv.weight", "timm", "timm"),
        ("roi_heads.box_head.fc6.weight", "torchvision", "torchvision"),
        ("module.layer1.0.conv1.weight", "torchvision or timm", "ResNet"),
        ("features.0.0.weight", "torchvision", "classifier"),
        ("blocks.0.attn.qkv.weight", "timm", "vision transformer"),
        ("module_list.0.Conv2d.weight", "its own software", "YOLOv3"),
    ],
)
def test_networks(name, family, words):
    kind = names.recognize(["conv.weight", name])
    assert kind.family == family
    assert words in kind.description


def test_own_and_unknown_names():
    own = ("stem.conv.conv.weight", "dark2.1.m.0.conv1.bn.bias", "head.cls_preds.0.weight")
    assert names.recognize([*own, "neck_p5_lateral_conv/kernel", "fc.weight"]) is None
    assert names.recognize([]) is None


def test_the_error_of_a_file(state_dict, tmp_path, refuses):
    """mmdetection's YOLOX has a stem of the same name, and other names behind it."""
    array = torch_files.read_torch(state_dict)["stem.conv.conv.weight"]
    name = "bbox_head.multi_level_conv_cls.0.weight"
    arrays = {"backbone.stem.conv.conv.weight": array, name: array}
    torch_files.write_torch(tmp_path / "a.pth", arrays)
    refuses(tmp_path / "a.pth", "weights of mmdetection's YOLOX.*: use mmdetection")
    torch_files.write_torch(tmp_path / "b.pth", {"layer1.0.conv1.weight": array})
    refuses(tmp_path / "b.pth", "weights of a ResNet")
    torch_files.write_torch(tmp_path / "c.pth", {"fc.weight": array})
    refuses(tmp_path / "c.pth", "no weight ends in 'stem.conv.conv.weight'")
