"""Packages: `trials`, `analysis`, `search_spaces` and `cluster` are those beside `raysweep`, whatever the path has.

A working directory may hold an `analysis.py` or a folder `trials/` of the user's own, and Python looks there first: in
the command's process, and in Ray's workers, which get its path. So `raysweep` imports its own packages when it is
itself imported, which in any process comes before anything else of it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("trials", "search_spaces", "analysis", "cluster")


def take_own() -> None:
    """Import the packages that lie beside this one, under their names.

    Raises:
        ImportError: The program has imported another module of one of these names already.
    """
    for name in PACKAGES:
        if name not in sys.modules:
            _import(name)
        elif (place := _place(sys.modules[name])).resolve() != ROOT / name:
            raise ImportError(
                f"raysweep has a package {name!r}, and this program has imported {place} by that name: "
                "rename that, or import raysweep first"
            )


def _import(name: str) -> None:
    folder = ROOT / name
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _place(module: ModuleType) -> Path:
    """Return the folder of a package, or the file of any other module."""
    folders = list(getattr(module, "__path__", ()))
    return Path(folders[0] if folders else module.__file__ or module.__name__)
