"""The spaces of a study: the YAML files in its folder of `search_spaces`, or beside the module of a user's own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from importlib.resources.abc import Traversable

from raysweep.service.declared import folder_of_spaces
from raysweep.service.study import Study

NO_SPACE = "none"
"""The space without axes: one trial of the knobs given."""


def spaces(study: Study) -> Mapping[str, Traversable]:
    """Return the YAML file of every space of a study, by name."""
    folder = folder_of_spaces(study.module, study.name)
    entries = folder.iterdir() if folder else ()
    found = {entry.name.removesuffix(".yaml"): entry for entry in entries if entry.name.endswith(".yaml")}
    return dict(sorted(found.items()))


def space_question(study: Study, name: str) -> str:
    """Return what a space says of itself: the comment at the top of its YAML."""
    lines = spaces(study)[name].read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ") for line in comment)


def default_first(study: Study) -> list[str]:
    """Return the names of a study's spaces, the default first: `laptop`, or else the first, or else `NO_SPACE`."""
    return sorted(spaces(study), key=lambda name: (name != "laptop", name)) or [NO_SPACE]
