"""Where a study is declared: the module that has it, in this repository or a user's own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

HERE = "raysweep."
"""What the modules of this repository's studies begin with."""


def declaring_module() -> str:
    """Return the name of the module whose code is declaring a study, by which any other process imports it.

    Of a module that runs as `__main__` that is the name it has elsewhere, a script's own; in a notebook there is none.
    """
    frame: Any = sys._getframe(1)  # as `collections.namedtuple` and `enum` find out where they are called
    while frame.f_globals.get("__name__") in (__name__, "dataclasses", f"{HERE}service.study"):
        frame = frame.f_back
    told = frame.f_globals
    if told.get("__name__") != "__main__":
        return str(told.get("__name__", ""))
    if (spec := told.get("__spec__")) is not None:
        return str(spec.name.removesuffix(".__main__"))
    return Path(told["__file__"]).stem if "__file__" in told else ""


def folder_of_spaces(module: str, study: str) -> Traversable | None:
    """Return the folder with the spaces of a study, None where there is none.

    Those of this repository's studies are in `search_spaces`. Others have them beside the module, or in its folder
    where it is a package: in `spaces/NAME`, or in `spaces` where that has no such folder.
    """
    if module.startswith(HERE):
        return files("search_spaces") / study
    beside = folder_of(module)
    candidates = (beside / "spaces" / study, beside / "spaces") if beside else ()
    return next((folder for folder in candidates if folder.is_dir()), None)


def folder_of(module: str) -> Path | None:
    """Return the folder of a package, or the folder in which a module lies; None where it has no file."""
    try:
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError):  # a parent that is no package, or a module without a spec
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(str(spec.origin)).parent if spec.has_location else None


def own_places(*modules: str) -> list[Path]:
    """Return what modules of a user's own need on another machine, none for this repository's.

    Of each that is its outermost package; or its file and the spaces beside it.
    """
    found: dict[Path, None] = {}
    for module in modules:
        package = module.partition(".")[0]
        spec = importlib.util.find_spec(package) if package and not f"{module}.".startswith(HERE) else None
        if spec is not None and spec.submodule_search_locations:
            found[Path(next(iter(spec.submodule_search_locations)))] = None
        elif spec is not None and spec.has_location:
            file = Path(str(spec.origin))
            found |= {file: None, file.parent / "spaces": None}
    return list(found)


def named_by_knobs(modules: Iterable[str]) -> list[str]:
    """Return those of the modules that knobs name which are no installed library, for which a cluster's image cares."""
    places = {module: own_places(module)[:1] for module in dict.fromkeys(modules)}
    return [module for module, found in places.items() if found and "site-packages" not in found[0].parts]
