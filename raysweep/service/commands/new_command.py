"""The command `raysweep new NAME`: the files of a study that runs, draws and is tested at once."""

from __future__ import annotations

import importlib
import json
import keyword
import re
import sys
from pathlib import Path

from raysweep.service import provenance
from raysweep.service.commands import new_files
from raysweep.service.declared import folder_of
from raysweep.service.studies import built_in, declared_in, registered
from search_spaces.core.planner import GridPlanner

_CHECKOUT = Path("tests/pinned_ids")
"""What a checkout of the repository has, and an installation has not."""


def written(name: str, here: Path) -> list[Path]:
    """Write the files of a new study and return them.

    In a checkout of the repository it is one of the repository's, a name in each of its drawers. Anywhere else it is a
    package in the folder `here`; a dotted name puts it into a package that is there or is made.

    Raises:
        ValueError: The name is none that a module can have, or is taken; nothing is written.
    """
    root = provenance.SOURCE_ROOT
    inside = here.is_relative_to(root) and (root / _CHECKOUT).is_dir()
    _refuse_name(name, inside)
    folder = root if inside else here
    files = new_files.in_the_repository(name) if inside else new_files.of_ones_own(name)
    module = f"raysweep.{name}" if inside else name
    _refuse_taken(name, module, [folder / path for path in files])
    places = [_placed(folder / path, text) for path, text in files.items()]
    packages = () if inside else list(Path(name.replace(".", "/")).parents)[:-1]
    outer = [package / "__init__.py" for package in packages if not (folder / package / "__init__.py").exists()]
    places += [_placed(folder / place, f'"""Studies of {place.parent.name}."""\n') for place in outer]
    pinned = root / _CHECKOUT / f"{name}.json" if inside else folder / name.replace(".", "/") / "pinned_ids.json"
    return [*places, _placed(pinned, json.dumps(_smoke_ids(module, folder)) + "\n")]


def _refuse_name(name: str, inside: bool) -> None:
    parts = name.split(".")
    for part in parts:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", part) or keyword.iskeyword(part):
            reason = "is a word of Python" if keyword.iskeyword(part) else "has others"
            raise ValueError(f"a study's name has small letters, digits and _, as my_study; {part!r} {reason}")
    if inside and len(parts) > 1:
        raise ValueError(f"a study of the repository has one name, got {name!r}; {parts[-1]}, say")


def _refuse_taken(name: str, module: str, files: list[Path]) -> None:
    taken = [*built_in(), *registered()]
    if (last := name.rpartition(".")[2]) in taken:
        raise ValueError(f"{last} is taken; take another name than {', '.join(taken)}")
    for place in files:
        if there := next((each for each in (place, place.with_suffix("")) if each.exists()), None):
            raise ValueError(f"{there} is there already; take another name, or remove it")
    outermost = module.partition(".")[0] if "." in name else module
    if outermost in sys.stdlib_module_names:
        raise ValueError(f"{outermost} is a module of Python's own; take another name")
    folder = folder_of(outermost)
    if folder is not None and not any(place.is_relative_to(folder.resolve()) for place in files):
        raise ValueError(f"{outermost} is a module of another place, {folder}; take another name")


def _placed(place: Path, text: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return place


def _smoke_ids(module: str, folder: Path) -> list[str]:
    """Return the ids of the trials of the new study's space `smoke`, in their order."""
    from raysweep.service.commands.configuration import read_settings
    from raysweep.service.driver.plan import planned

    importlib.invalidate_caches()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    study = declared_in(module)
    planner = read_settings(study, ["space=smoke"]).planner
    assert isinstance(planner, GridPlanner)
    return [trial.trial_id for trial in planned(study, planner.grid, {}).trials]
