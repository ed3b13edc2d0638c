"""Memory: how much of a GPU's a process may take, and what is said of a trial that wanted more."""

from __future__ import annotations

import gc
import os
import traceback

import torch

from cluster.cards import memory_cap
from raysweep.service.errors import ClusterError
from raysweep.service.study import Resources
from raysweep.service.worker.host_memory import keep_freed_memory

GIB = 2**30
PRETENDED = "RAYSWEEP_PRETENDED_GPUS"
"""Environment variable that is 1 on a cluster whose GPUs are a number and no devices: trials there run on CPUs."""

# Libraries that allocate for themselves raise a RuntimeError with one of these.
_WORDS_OF_THE_GPU = ("CUDA error: out of memory", "STATUS_ALLOC_FAILED")
_WORDS_OF_THE_HOST = ("can't allocate memory",)


def device_of(resources: Resources) -> torch.device:
    """Return where this process trains, after its share of the GPU's memory has been fixed, or how it keeps the host's.

    Ray's fractions isolate nothing: without a cap, a trial that takes too much fails its neighbours as well.

    Raises:
        ClusterError: A GPU is asked for and this process sees none, or the share is too small to hold anything.
    """
    gpus = resources.gpu_fraction
    if not gpus or os.environ.get(PRETENDED) == "1":
        keep_freed_memory()
        return torch.device("cpu")
    total = gpu_memory_gib()
    if gpus < 1:
        try:
            torch.cuda.set_per_process_memory_fraction(memory_cap(gpus, total))
        except ValueError as error:
            raise ClusterError(f"resources.gpus={gpus:g}: {error}") from None
    return torch.device("cuda")


def gpu_memory_gib() -> float:
    """Return all memory of the GPU that this process trains on.

    Raises:
        ClusterError: It sees none.
    """
    if not torch.cuda.is_available():
        raise ClusterError("resources.gpus asks for a GPU, but this process sees no CUDA device; without one it is 0")
    _, total = torch.cuda.mem_get_info()
    return total / GIB


def begin_peak(device: torch.device) -> None:
    """Count the peak of a device's memory from here on."""
    if device.type == "cuda":
        torch.cuda.init()  # before it there is no counter to be reset
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int | None:
    """Return the most memory that tensors held at once since `begin_peak`; None on a CPU, where nothing counts it.

    What the process keeps from one trial to the next, such as data, is part of it.
    """
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ended, on the GPU or beside it."""
    return _is_of_the_gpu(error) or isinstance(error, MemoryError) or _says(error, _WORDS_OF_THE_HOST)


def failure(error: Exception, resources: Resources, device_name: str | None) -> str:
    """Return what is stored of a trial that failed: the traceback; where memory ended, what its share was.

    The allocator's own message counts bytes that differ from trial to trial; without it equal failures read alike.

    Args:
        error: What the trial raised.
        resources: What its process may take.
        device_name: Model of the device that it ran on.
    """
    if not is_out_of_memory(error):
        return "".join(traceback.format_exception(error))
    where = "".join(traceback.format_tb(error.__traceback__))
    return f"out of memory: the trial asked for more than {_limit(error, resources, device_name)}\nat\n{where}"


def release() -> None:
    """Give back the memory of what has just failed, so that less of the same may fit."""
    gc.collect()
    torch.cuda.empty_cache()


def _limit(error: Exception, resources: Resources, device_name: str | None) -> str:
    gpus = resources.gpu_fraction
    if not gpus or not _is_of_the_gpu(error):
        return "this machine has left; make it smaller, or run fewer at once"
    if gpus < 1:
        return f"its share of resources.gpus={gpus:g} of {device_name}; give it more"
    return f"{device_name} has with resources.gpus={gpus:g}; make it smaller"


def _is_of_the_gpu(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or _says(error, _WORDS_OF_THE_GPU)


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in words)
