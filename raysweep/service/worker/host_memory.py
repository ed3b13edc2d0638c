"""Memory of the host: what a process frees stays with the process."""

from __future__ import annotations

import ctypes
import sys

# Of mallopt(3), as glibc's malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _LARGEST_OF_THE_HEAP = 2**30, 2**25


def keep_freed_memory() -> None:
    """Let up to a GiB that this process frees stay with it, and take tensors of up to 32 MiB from there.

    PyTorch takes memory of the CPU from the C library for every tensor. glibc may give it back to the kernel each time
    and fault it in anew, page by page, which makes a pass of a small network take twice as long. Whether it does
    depends on what the process has allocated before: here it never does. Without glibc nothing is changed.
    """
    if sys.platform != "linux":
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _LARGEST_OF_THE_HEAP)
        set_option(_TRIM_THRESHOLD, _KEPT)
