"""What travels to another machine: folders and files, copied side by side."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path


@contextlib.contextmanager
def staged(places: Iterable[Path]) -> Iterator[Path]:
    """Yield a folder with copies of folders and files, those of them that are there.

    What Python leaves in folders, and what is hidden, stays behind.
    """
    with tempfile.TemporaryDirectory(prefix="raysweep-") as name:
        folder = Path(name)
        for place in places:
            if place.is_dir():
                shutil.copytree(place, folder / place.name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            elif place.is_file():
                shutil.copy2(place, folder)
        yield folder
