"""The studies there are: this repository's, those that installed packages register, and any that a module declares."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

from raysweep.service.declared import HERE
from raysweep.service.errors import UsageError
from raysweep.service.study import Study

GROUP = "raysweep.studies"
"""The entry points by which a package registers studies: name = "package.module:STUDY"."""
_DRAWER = Path(__file__).resolve().parents[1]


def built_in() -> list[str]:
    """Return the names of this repository's studies."""
    return sorted(path.stem for path in _DRAWER.glob("[a-z]*.py"))


def registered() -> dict[str, str]:
    """Return the studies of installed packages: name -> `package.module:STUDY`."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def study_named(name: str) -> Study:
    """Return a study by its name, or by the module that declares it.

    Args:
        name: Of one of this repository's studies, of one that a package registers, or of a module on the path or in
            the working directory.

    Raises:
        UsageError: There is none of this name, or what it names is no study.
    """
    if name in built_in():
        return importlib.import_module(f"{HERE}{name}").STUDY
    place = registered().get(name, name)
    module, _, attribute = place.partition(":")
    if all(part.isidentifier() for part in module.split(".")):
        if os.getcwd() not in sys.path and "" not in sys.path:
            sys.path.append(os.getcwd())  # as `python -m` has it
        try:
            return declared_in(module, attribute)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise UsageError(f"{name} cannot be imported: {error}") from None
        except ImportError as error:
            raise UsageError(f"{name} cannot be imported: {error}") from None
    others = f"; registered are {', '.join(registered())}" if registered() else ""
    raise UsageError(
        f"{name} is no study; there are {', '.join(built_in())}{others}; one of your own goes by its module, "
        "such as my_package.my_study"
    )


def declared_in(module: str, attribute: str = "") -> Study:
    """Return the study that a module declares, under some name of its own or the one given.

    Raises:
        UsageError: It declares none, or several.
        ImportError: There is no such module, or it cannot be imported.
    """
    found = vars(importlib.import_module(module))
    studies = [found.get(attribute)] if attribute else [found["STUDY"]] if "STUDY" in found else list(found.values())
    chosen = {study.name: study for study in studies if isinstance(study, Study)}
    if len(chosen) != 1:
        declared = ", ".join(chosen) or "no study"
        raise UsageError(f"{module} declares {declared}; it must have one, as STUDY = Study(...)")
    return next(iter(chosen.values()))


def importable(study: Study) -> Study:
    """Return a study as other processes can import it.

    What the module that runs as `__main__` declares has classes and functions of that name, which no worker finds.

    Raises:
        UsageError: It has the name of a study of this repository.
    """
    if study.name in built_in() and not study.module.startswith(HERE):
        raise UsageError(f"{study.name} is the name of a study of raysweep; give the one of {study.module} another")
    if study.knobs.__module__ == "__main__" and study.module:
        return declared_in(study.module)
    return study
