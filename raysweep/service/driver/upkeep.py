"""Upkeep of the store while a sweep runs: many small files read hundreds of times slower than one."""

from __future__ import annotations

import threading
import warnings
from types import TracebackType
from typing import Self

from analysis.store.errors import StoreError
from analysis.store.results import Results

EVERY_SECONDS = 30.0
# Parts are never merged: a compaction while the sweep runs waits for this many packs, so that parts stay large and few.
ENOUGH_PACKS = 128


class Upkeep:
    """Compacts a study now and then in a thread of its own, so that scheduling never waits for it, and at the end.

    A compaction that fails on the way is tried again later; nothing is lost, the tables only lag behind the inbox.

    Args:
        results: The store.
        study: Name of the study.
        every_seconds: Time between compactions.
        enough_packs: Packs that are worth one.
    """

    def __init__(
        self,
        results: Results,
        study: str,
        every_seconds: float = EVERY_SECONDS,
        enough_packs: int = ENOUGH_PACKS,
    ) -> None:
        self._results = results
        self._study = study
        self._every_seconds = every_seconds
        self._enough_packs = enough_packs
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="raysweep-upkeep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:
            self._results.compact(self._study)

    def _repeat(self) -> None:
        while not self._ended.wait(self._every_seconds):
            try:
                self._results.compact(self._study, at_least=self._enough_packs)
            except StoreError as error:
                warnings.warn(f"compaction put off: {error}", stacklevel=1)
