"""Free memory of the machine or container, and the peak memory of this process."""

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path

MEMORY_INFO, STATUS = Path("/proc/meminfo"), Path("/proc/self/status")
GROUPS = Path("/proc/self/cgroup")
# Limit and use of control groups, of versions 2 and 1.
CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def free_memory() -> int:
    """Return the number of bytes of memory that new arrays can have.

    That is the memory that the system has available, or less where a container, a limit of a
    cluster's job or `ulimit -v` sets a bound.

    Raises:
        ValueError: if the system does not say.
    """
    return max(0, min([_available(), *_control_group_room(), *_address_space_room()]))


def _available() -> int:
    if MEMORY_INFO.exists():
        return _kilobytes(MEMORY_INFO, "MemAvailable")
    try:
        # macOS does not say how much is available: half of the memory is a cautious guess.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError) as error:
        raise ValueError(
            f"The free memory cannot be found out on {sys.platform}: give the batch size as a "
            "number."
        ) from error


def _control_group_room() -> list[int]:
    """Return what the control groups of this process, and those above them, have left."""
    paths = {""}
    with contextlib.suppress(OSError):
        for line in GROUPS.read_text().splitlines():
            parts = Path(line.split(":", 2)[2]).parts[1:]
            paths |= {"/".join(parts[:i]) for i in range(1, len(parts) + 1)}
    rooms = []
    for root, limit, used, reclaimable in CONTROL_GROUPS:
        for path in paths:
            with contextlib.suppress(OSError, ValueError, LookupError):
                folder = root / path
                pages = dict(line.split() for line in (folder / "memory.stat").open())
                in_use = int((folder / used).read_text()) - int(pages[reclaimable])
                rooms.append(int((folder / limit).read_text()) - in_use)  # no number: no limit
    return rooms


def _address_space_room() -> list[int]:
    try:
        import resource
    except ImportError:  # Windows
        return []
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or not STATUS.exists():
        return []
    return [limit - _kilobytes(STATUS, "VmSize")]


def reset_peak_memory() -> None:
    """Let `peak_memory` begin anew, where the system can: on Linux."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Return the largest number of bytes of memory that this process has had.

    Raises:
        ValueError: if the system does not say.
    """
    if STATUS.exists():
        return _kilobytes(STATUS, "VmHWM")
    try:
        import resource
    except ImportError as error:
        raise ValueError(
            f"The memory of a training cannot be measured on {sys.platform}: give the batch size "
            "as a number."
        ) from error
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size


def _kilobytes(path: Path, name: str) -> int:
    """Return a line in kilobytes of a file of the kernel, in bytes."""
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"{path} has no {name}: give the batch size as a number.")
