"""A `Predictor` on batches of tables."""

import numpy as np
import pytest

from bulk_jobs import write_images
from cspdarknet import Predictor
from cspdarknet.scale import BatchPredictor

arrow = pytest.importorskip("pyarrow", reason="bulk jobs need PyArrow")

pytestmark = pytest.mark.one_backend


@pytest.fixture
def images(tmp_path):
    return sorted(write_images(tmp_path / "images", 5, bad=[2]).iterdir())


def test_bytes_paths_and_arrays_give_what_a_predictor_gives(model, images):
    good = [path for path in images if path.name != "002.png"]
    expected = np.sort(Predictor(model)(good), axis=1)[:, ::-1]
    predict = BatchPredictor(model, batch_size=2)
    for given in ([path.read_bytes() for path in images], list(map(str, images))):
        table = predict({"bytes": given, "label": np.arange(5)})
        rows = table.to_pylist()
        assert [row["label"] for row in rows] == list(range(5))
        assert ["not an image" in (row["error"] or "") for row in rows] == [
            *(False, False, True, False, False)
        ]
        assert rows[2]["probability"] is None
        found = [row["probability"] for row in rows if row["error"] is None]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert ("bytes" in table.column_names) == isinstance(given[0], str)


def test_a_table_of_arrow(model, images):
    table = arrow.table({"content": [images[0].read_bytes()], "key": ["a"]})
    result = BatchPredictor(model, image_column="content", top=1)(table)
    assert result.column_names == ["key", "class_id", "class_name", "probability", "error"]
    assert len(result["class_id"][0]) == 1


def test_a_batch_without_the_column(model):
    with pytest.raises(ValueError, match="'bytes', and a batch with the columns a"):
        BatchPredictor(model)({"a": [1]})


def test_an_empty_batch(model):
    assert BatchPredictor(model)({"bytes": []}).num_rows == 0
