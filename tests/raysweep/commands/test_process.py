"""The process of a command: what it does before it ends."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

import pytest

from raysweep.service.commands.process import spare_last_collection


def test_libraries_that_want_a_last_collection_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With objects frozen, nanobind prints pages of leaks at the end of a process that has imported triton."""
    gc.unfreeze()
    monkeypatch.setitem(sys.modules, "triton", ModuleType("triton"))
    spare_last_collection()
    assert gc.get_freeze_count() == 0
    monkeypatch.delitem(sys.modules, "triton")
    monkeypatch.delitem(sys.modules, "jaxlib", raising=False)
    try:
        spare_last_collection()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
