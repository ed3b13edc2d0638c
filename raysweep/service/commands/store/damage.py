"""Damage: what of a store cannot be read costs a line on standard error, and nothing else goes unsaid for it."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

from analysis.store.errors import CorruptedPart, SchemaConflict, StoreMissing, StoreUnwritable, StoreWarning
from analysis.store.results import Results

Answer = TypeVar("Answer")

_OF_ONE_STUDY = (CorruptedPart, SchemaConflict, StoreMissing, StoreUnwritable)


def of_each_study(results: Results, read: Callable[[str], Answer]) -> Iterator[tuple[str, Answer]]:
    """Yield every study with what `read` returns of it; one that cannot be read is named and left out."""
    for study in results.studies():
        try:
            answer = read(study)
        except _OF_ONE_STUDY as error:
            print(f"raysweep: left out {study}: {' '.join(str(error).split())}", file=sys.stderr)
        else:
            yield study, answer


@contextlib.contextmanager
def warned_in_lines() -> Iterator[None]:
    """Print each warning of the store as one line, without the place in the source that gave it."""
    standard = warnings.formatwarning

    def formatwarning(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, StoreWarning):
            return f"warning: {message}\n"
        return standard(message, category, filename, lineno, line)

    warnings.formatwarning = formatwarning
    try:
        yield
    finally:
        warnings.formatwarning = standard
