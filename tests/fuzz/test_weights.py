"""Damaged and hostile weight files of every form, loaded in a worker process."""

import os
import sys

import pytest

from fuzz import weights

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(sys.platform == "win32", reason="the worker waits for input with select"),
]
# Another part of the cases in each worker of the tests; `make fuzz N=100000` runs more.
CASES = int(os.environ.get("FUZZ_CASES", "1000"))
PARTS = 2


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_file_is_loaded_as_a_whole_or_refused(part):
    pytest.importorskip("onnx")
    summary = weights.run(range(part, CASES, PARTS))
    assert not summary.failures, str(summary)
    assert summary.megabytes < 1000
    outcomes = {outcome for _, outcome in summary.outcomes}
    assert outcomes == {"loaded", "refused"}


def test_every_seed_is_loaded(tmp_path):
    """The mutations start from files that are read to their end."""
    seeds = weights.write_models(tmp_path / "models")
    worker = weights.harness.Worker(weights.MODULE, tmp_path / "models")
    for seed in seeds:
        folder = tmp_path / seed.name
        folder.mkdir()
        for name, content in seed.files.items():
            (folder / name).write_bytes(content)
        if seed.name.endswith(".preset"):
            result = worker.use(folder, call="load_model")
        else:
            result = worker.use(folder / seed.name, call="load", model=seed.model)
        assert result.outcome == "loaded", (seed.name, result)
    worker.stop()
