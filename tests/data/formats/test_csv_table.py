"""The reader of CSV files."""

import pytest

from cspdarknet.data.formats.csv_table import read_csv_table

pytestmark = pytest.mark.one_backend


def test_paths_labels_and_splits(tmp_path):
    file = tmp_path / "images.csv"
    file.write_text("File,class,split\na/0.png,cat,train\na/1.png, dog ,val\na/2.png,cat,\n")
    splits = read_csv_table(file).splits
    assert splits == {
        "train": [(tmp_path / "a/0.png", "cat"), (tmp_path / "a/2.png", "cat")],
        "validation": [(tmp_path / "a/1.png", "dog")],
    }
    assert read_csv_table(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "column 'path'"),
        (b"path\na.png", "column 'label'"),
        (b"path,label,split\na.png,x,dev", "one of train, validation, test"),
        (b"path,label\na.png,", "line 2"),
        (b"path,label\na.png,x\na.png,y", "twice"),
        (b"path,label\n\xff.png,x", "not a CSV file in UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        read_csv_table(tmp_path / "a.csv")
