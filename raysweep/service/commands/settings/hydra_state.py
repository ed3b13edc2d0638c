"""Hydra keeps one state a process: what a calling program does with it stays as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase


@contextlib.contextmanager
def apart_from_the_program() -> Iterator[None]:
    """Put back, at the end, what a calling program has initialised, stored and chosen.

    Inside Hydra is not initialised, as `hydra.initialize` asks, and what is stored is forgotten at the end.
    """
    singleton, store, version = GlobalHydra.instance(), ConfigStore.instance(), VersionBase.instance()
    running, stored, base = singleton.hydra, store.repo, version.version_base
    singleton.clear()
    store.repo = dict(stored)
    try:
        yield
    finally:
        GlobalHydra.set_instance(singleton)
        singleton.hydra, store.repo, version.version_base = running, stored, base
