"""Free memory and peak memory."""

import sys

import pytest

from cspdarknet.train import free_memory as memory

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(sys.platform != "linux", reason="reads files of Linux"),
]
GB = 10**9


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine with 8 GB available, in control groups of version 2."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {8 * GB // 1024} kB\n")
    (tmp_path / "cgroup").write_text("0::/jobs/one\n")
    monkeypatch.setattr(memory, "MEMORY_INFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_address_space_room", list)
    groups = (tmp_path / "groups", "memory.max", "memory.current", "inactive_file")
    monkeypatch.setattr(memory, "CONTROL_GROUPS", (groups,))
    (tmp_path / "groups/jobs/one").mkdir(parents=True)

    def limit(name, most, used, reclaimable=0):
        folder = tmp_path / "groups" / name
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {reclaimable}\n")

    return limit


def test_free_memory_is_what_the_system_has_available(system):
    assert memory.free_memory() == 8 * GB // 1024 * 1024
    system("jobs/one", "max", 3 * GB)
    assert memory.free_memory() == 8 * GB // 1024 * 1024


def test_the_smallest_limit_of_a_container_counts(system):
    system("jobs/one", 5 * GB, 3 * GB, reclaimable=GB)
    assert memory.free_memory() == 3 * GB
    system("jobs", 4 * GB, 3 * GB)
    assert memory.free_memory() == GB
    system("", 1 * GB, 3 * GB)
    assert memory.free_memory() == 0


def test_peak_memory_begins_anew():
    array = bytearray(300_000_000)
    array[::4096] = b"1" * len(array[::4096])
    peak = memory.peak_memory()
    del array
    memory.reset_peak_memory()
    assert 50_000_000 < memory.peak_memory() < peak - 200_000_000


def test_a_system_that_does_not_say(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "MEMORY_INFO", tmp_path / "none")
    monkeypatch.delattr("os.sysconf")
    with pytest.raises(ValueError, match="give the batch size as a number"):
        memory.free_memory()
