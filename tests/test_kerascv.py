"""Names of KerasCV that this package lacks: errors that say where they are today."""

import sys
from importlib import import_module

import keras
import pytest

import cspdarknet
from cspdarknet import layers, models
from cspdarknet._kerascv import REPLACEMENTS, explain, install_import_hook

pytestmark = pytest.mark.one_backend

NAMES = [
    ("bounding_box", r"`keras\.utils\.bounding_boxes`"),
    ("metrics", "evaluate_detector"),
    ("layers.RandomFlip", r"`keras\.layers\.RandomFlip`"),
    ("layers.NonMaxSuppression", "YOLOXDetector"),
    ("layers.FourierMix", "keep `import keras_cv`"),
    ("models.RetinaNet", r"`keras_hub\.models\.RetinaNetObjectDetector`"),
    ("models.YoloX_tiny", "YOLOXDetector"),
    ("models.CSPDarkNetTiny", r"`cspdarknet\.models\.CSPDarkNetTinyBackbone`.*as_backbone"),
    ("models.CSPDarkNetX", "CSPDarkNetXLBackbone"),
]


@pytest.mark.parametrize(("path", "where"), NAMES)
def test_attributes(path, where):
    module, _, name = f"cspdarknet.{path}".rpartition(".")
    with pytest.raises(AttributeError, match=f"`keras_cv.{path}` is not a part.*{where}.*docs/"):
        getattr(import_module(module), name)


@pytest.mark.parametrize(("path", "where"), NAMES)
def test_imports(path, where):
    module, _, name = f"cspdarknet.{path}".rpartition(".")
    with pytest.raises(ImportError, match=f"`keras_cv.{path}` is not a part.*{where}.*docs/"):
        exec(f"from {module} import {name}", {})
    with pytest.raises(ImportError, match="is not a part"):
        import_module(f"cspdarknet.{path}")


@pytest.mark.parametrize("module", ["src", "models"])
def test_modules_of_private_code(module):
    path = f"cspdarknet.{module}.backbones.csp_darknet.csp_darknet_utils"
    with pytest.raises(ImportError, match=r"private code.*`cspdarknet\.layers` \(`conv_block`"):
        import_module(path)


def test_other_names_have_pythons_own_errors():
    for module in (cspdarknet, models, layers):
        with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
            _ = module.no_such_name
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        import_module("cspdarknet.no_such_name")


def test_no_name_of_the_table_exists_here():
    for module, names, _ in REPLACEMENTS:
        for name in names.split():
            assert name not in vars(import_module(f"cspdarknet.{module}")), name
        if not names:
            assert explain(f"cspdarknet.{module}")
            assert module not in dir(cspdarknet)


def test_keras_has_the_layers_that_the_table_says():
    for module, names, where in REPLACEMENTS:
        if where == "Keras has it, as `keras.layers.{}`":
            assert all(hasattr(keras.layers, name) for name in names.split()), module


def test_the_hook_is_installed_once():
    before = list(sys.meta_path)
    install_import_hook()
    assert sys.meta_path == before


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("csp_darknet_53_ra_imagenet", r"preset of KerasHub.*`keras_hub\.models\.CSPNetBackbone`"),
        ("yolo_v8_m_pascalvoc", "preset of KerasCV for another network"),
    ],
)
def test_presets_of_other_networks(name, where):
    with pytest.raises(ValueError, match=f"{name}.*{where}"):
        models.CSPDarkNetBackbone.from_preset(name)
