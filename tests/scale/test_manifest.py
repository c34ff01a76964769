"""Parts of a job, which are added and never changed."""

import pytest

from cspdarknet.scale.manifest import Manifest
from cspdarknet.scale.sources import Input
from cspdarknet.scale.storage import ResultFolder

pytest.importorskip("pyarrow", reason="bulk jobs need PyArrow")

pytestmark = pytest.mark.one_backend


def inputs(*names):
    return [Input(name, f"/images/{name}") for name in names]


def parts(manifest):
    return [[item.key for item in manifest.inputs(i)] for i in range(len(manifest))]


def test_images_are_cut_and_a_shard_is_a_part(tmp_path):
    manifest = Manifest(ResultFolder(tmp_path))
    assert len(manifest) == 0
    assert manifest.extend(inputs("a.jpg", "b.tar", "c.jpg", "d.jpg"), 2) == 4
    assert parts(manifest) == [["a.jpg", "c.jpg"], ["d.jpg"], ["b.tar"]]
    assert manifest.inputs(1) == inputs("d.jpg")


def test_new_inputs_are_further_parts(tmp_path):
    Manifest(ResultFolder(tmp_path)).extend(inputs("b.jpg", "c.jpg", "d.jpg"), 2)
    manifest = Manifest(ResultFolder(tmp_path))
    assert manifest.extend(inputs("a.jpg", "b.jpg", "d.jpg"), 5) == 1
    assert parts(manifest) == [["b.jpg", "c.jpg"], ["d.jpg"], ["a.jpg"]]
    assert manifest.extend(inputs("a.jpg"), 2) == 0


def test_another_input_of_a_known_key_is_refused(tmp_path):
    manifest = Manifest(ResultFolder(tmp_path))
    manifest.extend(inputs("a.jpg"), 2)
    with pytest.raises(ValueError, match="choose another folder"):
        manifest.extend([Input("a.jpg", "/other/a.jpg")], 2)


def test_paths_that_are_not_utf8(tmp_path):
    given = [Input("a", b"/caf\xe9.jpg".decode(errors="surrogateescape"))]
    Manifest(ResultFolder(tmp_path)).extend(given, 2)
    assert Manifest(ResultFolder(tmp_path)).inputs(0) == given
