"""The spaces of a study: the YAML files in its folder of `search_spaces`, or beside the module of a user's own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from raysweep.service.declared import folder_of_spaces
from raysweep.service.errors import UsageError
from raysweep.service.study import Study

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
