"""The check of a dataset's image files."""

import pytest

from cspdarknet.data import check_images, load_classification_dataset
from image_datasets import write_class_folders

pytestmark = pytest.mark.one_backend


def test_files_that_cannot_be_decoded_are_left_out_and_listed(tmp_path):
    dataset = load_classification_dataset(write_class_folders(tmp_path, 3)).train
    truncated, empty, text, missing = dataset.paths[:4]
    truncated.write_bytes(truncated.read_bytes()[:-40])
    empty.write_bytes(b"")
    text.write_text("not an image")
    missing.unlink()
    advanced = []
    usable, problems = check_images(dataset, 2, lambda: advanced.append(1))
    assert [problem.path for problem in problems] == [truncated, empty, text, missing]
    expected = ["damaged", "not an image", "not an image", "no such file"]
    for problem, what in zip(problems, expected, strict=True):
        assert problem.reason.startswith(what)
    assert usable.paths == dataset.paths[4:]
    assert len(advanced) == len(dataset)
    assert check_images(usable, 2) == (usable, [])
