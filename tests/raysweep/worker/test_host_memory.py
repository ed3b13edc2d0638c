"""What a process frees stays with it: a tensor made again and again faults in no page anew."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from raysweep.service.worker.host_memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(10):
    torch.zeros(2**18)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    torch.zeros(2**18)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 100 * 2**20 // os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc's malloc")
def test_memory_that_was_freed_is_not_faulted_in_again() -> None:
    # The state in which glibc gives every such tensor back, which without this variable hangs on what came before.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**17)}
    dropped, kept = (
        int(
            subprocess.run([sys.executable, "-c", FAULTS, how], env=environment, capture_output=True, check=True).stdout
        )
        for how in ("dropped", "kept")
    )
    assert dropped > PAGES / 2
    assert kept < dropped / 4, "each page once at most, and what else the process does meanwhile"
