"""Memory of the GPU that a backend computes on."""

import gc
import os
from typing import Any

import keras

# How the other backends are kept from taking all of a GPU's memory at once.
ON_DEMAND = {
    "jax": ("XLA_PYTHON_CLIENT_PREALLOCATE", "false"),
    "tensorflow": ("TF_FORCE_GPU_ALLOW_GROWTH", "true"),
}


def check_on_demand() -> None:
    """Check that this process leaves memory of the GPU to another one.

    Raises:
        ValueError: if the backend takes all of it when it starts.
    """
    name, value = ON_DEMAND.get(keras.backend.backend(), ("", ""))
    if name and os.environ.get(name, "").lower() != value:
        raise ValueError(
            f"To find the batch size on a GPU, {keras.backend.backend()} must not take all of its "
            f"memory at the start: set {name}={value}, or give the batch size as a number."
        )


def release_gpu_memory() -> None:
    """Free what no array uses, and let the peak begin anew."""
    gc.collect()
    if keras.backend.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def gpu_memory() -> tuple[int, int]:
    """Return the peak memory of this process on the GPU, and what it may have at most, in bytes.

    Both are 0 where the backend does not say.
    """
    if keras.backend.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
            return torch.cuda.max_memory_reserved(), free
    if keras.backend.backend() == "jax":
        import jax

        stats: Any = jax.local_devices()[0].memory_stats() or {}
        return stats.get("peak_bytes_in_use", 0), stats.get("bytes_limit", 0)
    return 0, 0
