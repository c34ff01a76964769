"""Workers, which may be on other machines."""

import pytest

from bulk_jobs import write_images
from cspdarknet.scale import BulkJob
from cspdarknet.scale.part_worker import PartResult, PartWorker

pytest.importorskip("pyarrow", reason="bulk jobs need PyArrow")

pytestmark = pytest.mark.one_backend


@pytest.fixture
def arguments(model, tmp_path):
    images = write_images(tmp_path / "images", 2)
    job = BulkJob("classification", model, images, tmp_path / "out")
    job.start()
    return job.worker_arguments(1)


def test_a_part_that_another_worker_has_done_is_not_done_again(arguments):
    assert PartWorker(**arguments).run(0) == PartResult(0, 2, 0)
    assert PartWorker(**arguments).run(0) == PartResult(0, 0, 0)


def test_a_machine_that_does_not_see_the_folder(arguments, tmp_path):
    with pytest.raises(ValueError, match="All machines must see the folder"):
        PartWorker(**{**arguments, "out": str(tmp_path / "other")})


def test_a_machine_that_sees_another_model(arguments):
    with pytest.raises(ValueError, match="other weights"):
        PartWorker(**{**arguments, "sha256": "0"})
