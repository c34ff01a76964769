"""The reader of VIA."""

import pytest

from annotation_files import CONTENT, via, via_regions, write_image, write_json
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.via import VIA

pytestmark = pytest.mark.one_backend


def read(folder, content):
    for name in CONTENT:
        write_image(folder / f"{name}.jpg")
    write_json(folder / "via.json", content)
    return VIA.read(DatasetFiles(folder))


def boxes(annotations):
    return {image.path.stem: image.boxes for image in annotations.splits["train"]}


def region(shape, attributes=None):
    attributes = {"class": "cell"} if attributes is None else attributes
    return {"shape_attributes": shape, "region_attributes": attributes}


def with_regions(regions):
    return {"a.jpg9": {"filename": "a.jpg", "size": -1, "regions": regions}}


def test_a_project(tmp_path):
    content = {"_via_settings": {}, "_via_img_metadata": via("ab"), "_via_attributes": {}}
    annotations = read(tmp_path, content)
    assert boxes(annotations) == {k: [box for _, box in CONTENT[k]] for k in "ab"}
    assert [image.names for image in annotations.splits["train"]] == [["cell", "worm"], ["cell"]]
    assert annotations.problems == []


def test_regions_of_version_1_are_a_mapping(tmp_path):
    content = with_regions({str(i): r for i, r in enumerate(via_regions("a"))})
    assert boxes(read(tmp_path, content)) == {"a": [(8, 6, 40, 36), (0, 30, 20, 60)]}


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ({"name": "rect", "x": "8", "y": 6, "width": 32, "height": 30.0}, (8, 6, 40, 36)),
        (
            {"name": "polygon", "all_points_x": [8, 40, 20], "all_points_y": [30, 6, 36]},
            (8, 6, 40, 36),
        ),
        ({"name": "circle", "cx": 30, "cy": 20, "r": 10}, (20, 10, 40, 30)),
        ({"name": "ellipse", "cx": 30, "cy": 20, "rx": 10, "ry": 5}, (20, 15, 40, 25)),
        (
            {"name": "ellipse", "cx": 30, "cy": 20, "rx": 10, "ry": 5, "theta": 1.5707963267948966},
            (25, 10, 35, 30),
        ),
    ],
)
def test_shapes(tmp_path, shape, box):
    ((found,),) = boxes(read(tmp_path, with_regions([region(shape)]))).values()
    assert found == pytest.approx(box)


def test_points_and_lines_have_no_box(tmp_path):
    line = {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [3, 4]}
    annotations = read(
        tmp_path, with_regions([*via_regions("b"), region({"name": "point"}, {}), region(line)])
    )
    assert boxes(annotations) == {"a": [(60, 15, 80, 45)]}
    texts = [(problem.kind, problem.reason) for problem in annotations.problems]
    assert texts == [
        ("annotation without box", "1 annotation of type point"),
        ("annotation without box", "1 annotation of type polyline"),
    ]
    assert not any(problem.stops for problem in annotations.problems)


RECT = {"name": "rect", "x": 1, "y": 2, "width": 30, "height": 40}


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"object_name": "cell"}, "cell"),
        ({"kind of cell": "red"}, "red"),
        ({"Name": "cell", "image_quality": {"good": True}}, "cell"),
        ({"type": "round", "class": "cell"}, "cell"),
        ({"label": {"cell": True, "worm": False}}, "cell"),
        ({"label": 7}, "7"),
    ],
)
def test_the_attribute_that_is_the_class(tmp_path, attributes, name):
    (image,) = read(tmp_path, with_regions([region(RECT, attributes)])).splits["train"]
    assert image.names == [name]


def test_one_attribute_is_the_class_of_all_regions(tmp_path):
    regions = [
        region(RECT, {"name": "cell", "quality": "good"}),
        region(RECT | {"x": 5}, {"quality": "bad"}),
    ]
    (problem,) = read(tmp_path, with_regions(regions)).problems
    assert problem.kind == "malformed annotation"
    assert problem.reason == "region 2: the class, the attribute 'name', is missing"


def test_attributes_of_which_none_is_named_like_a_class(tmp_path):
    with pytest.raises(ValueError, match="several attributes of regions, and none is named class"):
        read(tmp_path, with_regions([region(RECT, {"color": "red", "size": "big"})]))


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (region(RECT, {}), "the class, the attribute 'class', is missing"),
        (region(RECT, {"class": ["cell"]}), "must be text"),
        (region(RECT, {"class": {"cell": True, "worm": True}}), "must have one value. Received: 2"),
        (region(RECT, {"class": None}), "is missing"),
        (region(RECT, []), "`region_attributes` must be a mapping"),
        (region(RECT | {"x": None}), "`x` must be a number. Received: None"),
        (region(RECT | {"x": True}), "`x` must be a number. Received: True"),
        (region(RECT | {"x": float("inf")}), "`x` must be a number"),
        (region(RECT | {"width": 10**400}), "`width` must be a number"),
        (region({"name": "polygon", "all_points_x": [1, 2]}), "`all_points_y` must be a list"),
        (
            region({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [3]}),
            "2 x and 1 y coordinates",
        ),
        (region({"name": "star"}), "must be a rect, polygon, circle or ellipse. Received: star"),
        (region(None), "`shape_attributes` must be a mapping"),
        (7, "a region must be a mapping. Received: int"),
    ],
)
def test_regions_that_cannot_be_read(tmp_path, bad, what):
    content = via("bc") | with_regions([region(RECT), bad])
    annotations = read(tmp_path, content)
    (problem,) = annotations.problems
    assert (problem.kind, problem.where) == ("malformed annotation", "a.jpg")
    assert problem.path == tmp_path / "via.json"
    assert problem.reason.startswith("region 2: ")
    assert what in problem.reason
    # An image without some of its boxes would teach that they are none.
    assert list(boxes(annotations)) == ["b", "c"]


def test_regions_without_attributes(tmp_path):
    (problem,) = read(tmp_path, with_regions([region(RECT, {})])).problems
    assert problem.reason == "region 1: the class is missing"


def test_a_key_of_projects_that_holds_something_else(tmp_path):
    annotations = read(tmp_path, via("abc") | {"_via_img_metadata": 5})
    assert [problem.where for problem in annotations.problems] == ["entry _via_img_metadata"]
    assert list(boxes(annotations)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "entry", [None, 3, {}, {"filename": ""}, {"filename": ["a"]}, {"filename": "a.jpg"}]
)
def test_entries_that_are_no_images(tmp_path, entry):
    annotations = read(tmp_path, {"_via_img_metadata": via("b") | {"x": entry}})
    assert [problem.kind for problem in annotations.problems] == ["malformed annotation"]
    assert list(boxes(annotations)) == ["b"]
