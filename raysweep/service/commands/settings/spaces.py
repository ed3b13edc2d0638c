"""The spaces of a study: the YAML files in its folder of `search_spaces`, or beside the module of a user's own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from analysis.store.storage import located
from raysweep.service.declared import folder_of_spaces
from raysweep.service.errors import UsageError
from raysweep.service.study import Study
from trials.core.suggestions import suggestion

NO_SPACE = "none"
"""The space without axes: one trial of the knobs given."""


def spaces(study: Study) -> Mapping[str, Traversable]:
    """Return the YAML file of every space of a study, by name; hidden files are somebody else's."""
    folder = folder_of_spaces(study.module, study.name)
    entries = {entry.name: entry for entry in folder.iterdir()} if folder else {}
    visible = (name for name in entries if name.endswith(".yaml") and name[0] != ".")
    found = {name.removesuffix(".yaml"): entries[name] for name in visible}
    return dict(sorted(found.items()))


def written_space(name: str, file: Traversable) -> DictConfig:
    """Return what a space's file says.

    Raises:
        UsageError: The file cannot be read, or is no YAML mapping; the message names it.
    """
    try:
        written: Any = OmegaConf.create(_text(file))
    except (YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"space={name}: {file} is no YAML of settings: {_reason(error)}") from None
    if not isinstance(written, DictConfig):
        raise UsageError(f"space={name}: {file} must be a mapping of settings, such as `axes: {{seed: range(3)}}`")
    return written


@dataclass(frozen=True)
class AskedSpace:
    """A space as it was asked for, with those that it inherits from.

    Attributes:
        name: What it is called: its name, or that of its file.
        option: By which Hydra finds it among `written`.
        written: What it and those that it inherits from say, by the names in their `defaults`.
        files: Files of a user's own among them.
    """

    name: str
    option: str
    written: Mapping[str, DictConfig]
    files: Sequence[Path] = ()


def asked_space(study: Study, asked: str) -> AskedSpace:
    """Return a space by its name, or by the path of its YAML file, and those that its `defaults` name.

    Of a file these lie beside it, or are the study's.

    Raises:
        UsageError: There is none, it cannot be read, or it inherits from itself.
    """
    known, written = spaces(study), dict[str, DictConfig]()
    first = Path(located(asked)) if is_file(asked) else None
    files: list[Path] = []

    def added(name: str, file: Path | None, below: tuple[str, ...]) -> str:
        """Add a space and those that it inherits from, and return its option."""
        option = f"file_{len(files)}" if file else name
        place = str(file or name)
        if file:
            files.append(file)
        elif place in below:
            raise UsageError(f"space={below[0]} inherits from itself: {' -> '.join((*below, place))}")
        elif name not in known and name != NO_SPACE:
            raise UsageError(f"space={name} is unknown; {suggestion(name, [*known, NO_SPACE])}")
        written[option] = OmegaConf.create({}) if place == NO_SPACE else written_space(name, file or known[name])
        inherited = written[option].get("defaults") or ListConfig([])
        if not isinstance(inherited, ListConfig):
            raise UsageError(
                f"space={name}: defaults must be a list of spaces, got {inherited!r}: [{inherited}, _self_]"
            )
        written[option].defaults = [inherit(entry, (*below, place)) for entry in inherited]
        return option

    def inherit(entry: Any, below: tuple[str, ...]) -> Any:
        """Return an entry of a `defaults` list as Hydra finds it; those that name no space stay."""
        if not isinstance(entry, str) or entry == "_self_":
            return entry
        beside = first.parent / f"{entry}.yaml" if first else None
        if beside and str(beside) in below and entry not in known:
            raise UsageError(f"space={below[0]} inherits from itself: {' -> '.join((*below, str(beside)))}")
        own = beside if beside and beside.is_file() and str(beside) not in below else None
        return added(entry, own, below)

    option = added(asked, first, ())
    return AskedSpace(name=first.stem if first else asked, option=option, written=written, files=files)


def is_file(asked: str) -> bool:
    """Return whether a value for `space` is the path of a file and not the name of a space."""
    return asked.endswith((".yaml", ".yml")) or "/" in asked


def space_question(study: Study, name: str) -> str:
    """Return what a space says of itself: the comment at the top of its YAML, or why it cannot be read."""
    try:
        lines = _text(spaces(study)[name]).splitlines()
    except UsageError as error:
        return str(error)
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ") for line in comment)


def default_first(study: Study) -> list[str]:
    """Return the names of a study's spaces, the default first: `laptop`, or else the first, or else `NO_SPACE`."""
    return sorted(spaces(study), key=lambda name: (name != "laptop", name)) or [NO_SPACE]


def _text(file: Traversable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UsageError(f"{file} cannot be read: {reason}") from None


def _reason(error: Exception) -> str:
    """Return what is wrong and where, in one line."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark else ""
    return f"{problem or next(iter(str(error).splitlines()), type(error).__name__)}{where}"
