"""Names of annotated copies."""

from pathlib import Path

import pytest

from cspdarknet.inference.copies import (
    IMAGE_SUFFIXES,
    RESULTS_MARKER,
    VIDEO_SUFFIXES,
    CopyFolder,
)

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    "names",
    [
        ["x.webp", "x.webp.jpg"],
        ["x.bmp", "x.bmp.jpg", "x.bmp.jpg.jpg"],
        ["x.bmp", "x.BMP.JPG", "X.bmp"],
        ["a.JPG", "A.jpg"],
        ["e\u0301.jpg", "\u00e9.jpg"],  # two Unicode forms of one name
        ["more/x.tif", "more/x.tif.jpg", "x.tif"],
    ],
)
def test_each_copy_has_a_name_of_its_own_on_every_file_system(names):
    copies = CopyFolder("out")
    keys = [Path(name) for name in names]
    copies.add(keys, IMAGE_SUFFIXES)
    targets = [copies.target(key) for key in keys]
    folded = {str(target).casefold().replace("e\u0301", "\u00e9") for target in targets}
    assert len(folded) == len(names)
    assert {target.suffix.lower() for target in targets} <= set(IMAGE_SUFFIXES)
    assert all(t.parent == Path("out", k).parent for t, k in zip(targets, keys, strict=True))


def test_originals_that_can_be_written_keep_their_names():
    copies = CopyFolder("out")
    copies.add([Path("x.webp"), Path("x.webp.jpg")], IMAGE_SUFFIXES)
    copies.add([Path("clip.avi"), Path("clip.avi.mp4")], VIDEO_SUFFIXES)
    copies.add([Path("x.webp")], IMAGE_SUFFIXES)
    assert copies.target(Path("x.webp.jpg")) == Path("out/x.webp.jpg")
    assert copies.target(Path("x.webp")) == Path("out/x.webp.jpg.jpg")
    assert copies.target(Path("clip.avi.mp4")) == Path("out/clip.avi.mp4")
    assert copies.target(Path("clip.avi")) == Path("out/clip.avi.mp4.mp4")


def test_only_copies_are_replaced(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"not a copy")
    copies = CopyFolder(tmp_path)
    copies.add([Path("a.jpg"), Path("b.jpg")], IMAGE_SUFFIXES)
    with pytest.raises(ValueError, match=r"a\.jpg exists, and is not a copy of an earlier run"):
        copies.check_replaceable()
    (tmp_path / RESULTS_MARKER).touch()
    copies.check_replaceable()
    for key in ("a.jpg", "b.jpg"):
        copies.prepare(Path(key))
    assert copies.replaced == 1
