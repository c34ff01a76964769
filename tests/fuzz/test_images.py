"""A small number of cases of the fuzzer of image files."""

import sys

import pytest

from fuzz import images
from fuzz.harness import run
from fuzz.image_seeds import STUBS, seeds

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(sys.platform == "win32", reason="the worker limits its memory as on Unix"),
]


def test_mutated_images_are_read_or_refused():
    summary = images.run(range(2000))
    assert not summary.failures, str(summary)
    assert summary.megabytes < 2000
    outcomes = {outcome for _, outcome in summary.outcomes}
    assert outcomes == set(images.GOOD)


def test_whole_files_are_read_and_stubs_refused(tmp_path):
    def cases():
        for i, (name, content) in enumerate(seeds().items()):
            (tmp_path / name).write_bytes(content)
            yield i, name, "whole", tmp_path / name, {"call": "read"}

    summary = run(cases(), images.MODULE, tmp_path, images.GOOD)
    assert not summary.failures, str(summary)
    refused = {name for name, outcome in summary.outcomes if outcome == "refused"}
    # Of some formats, the seeds are no more than a beginning.
    assert refused <= set(STUBS)
    assert {"eps", "eps_binary", "hdf5", "grib", "bufr", "mpeg", "wmf", "emf", "fits"} <= refused
