"""Keyword arguments of a call as the overrides that a command line would have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from raysweep.service.commands.settings.overrides import PATHS
from raysweep.service.commands.settings.own_places import kept
from raysweep.service.errors import UsageError
from raysweep.service.study import Study

_WHOLE = ("linked", "computed", "union")
"""Settings whose dict or list is one value; other dicts are groups of settings."""
_OF_AXES = re.compile(r"\w+\(.*\)|[^'\"\[\]{}]*,.*", flags=re.DOTALL)
"""Text that says several values of a knob: an expression such as `log(1e-3,1,4)`, or `64,128,256`."""

_PLAIN = re.compile(r"(?!(?:null|true|false|inf|nan)$)[a-z_/][\w/.-]*", flags=re.IGNORECASE)


def overrides_of(study: Study, keywords: Mapping[str, Any]) -> list[str]:
    """Return the overrides that say what the keywords of a call say.

    A dict is a group (`data={"path": "images"}` is `data.path=images`), and its `name` the choice of the group. Several
    values of a knob, in whatever holds them, make it an axis. Columns of the tables may stand for nested knobs
    (`data_train_size=500`). Arrays that are given as `data` go through a file.

    Raises:
        UsageError: A value is of a kind that no setting has.
    """
    keywords = {name: kept(value) if name == "data" else value for name, value in keywords.items()}
    paths = {declared.name: ".".join(declared.path) for declared in study.knobs.declared()}
    knobs = {*paths, *paths.values()}
    return [
        f"{key}={_written(key, value, key in knobs or key.startswith('axes.'))}"
        for key, value in _flat({paths.get(name, name): value for name, value in keywords.items()})
        if value is not None or key not in PATHS  # a path is text, and none is the default
    ]


def as_override(key: str, value: Any) -> str:
    """Return the override that gives a setting one value, whatever the value looks like.

    Raises:
        UsageError: It is of a kind that no setting has.
    """
    return f"{key}={_as_text(key, value)}"


def _flat(keywords: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in keywords.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in _WHOLE:
            if not prefix and "name" in value:
                yield key, value["name"]
                value = {inner: value[inner] for inner in value if inner != "name"}
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _written(key: str, value: Any, of_knob: bool) -> str:
    if of_knob and isinstance(value, str) and _OF_AXES.fullmatch(value):
        return value
    if of_knob and isinstance(value, range) and len(value):
        return f"range({value.start},{value.stop},{value.step})"  # a long one is counted and never made
    return _as_text(key, value)


def _as_text(key: str, value: Any) -> str:
    """Return a value in Hydra's grammar."""
    if hasattr(value, "tolist"):  # of NumPy, pandas or torch, none of which is imported for it
        value = value.tolist()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | os.PathLike):
        return _quoted(os.fspath(value))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(key, name)}:{_as_text(key, inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ",".join(_as_text(key, item) for item in value) + "]"
    raise UsageError(f"{key}={value!r} is no number, truth value, text, path, list or dict")


def _quoted(text: str | bytes) -> str:
    """Return text as a string of Hydra's, whatever number, choice or interpolation it looks like."""
    plain = text.decode() if isinstance(text, bytes) else text
    if _PLAIN.fullmatch(plain):
        return plain
    escaped = re.sub(r"(\\*)\$\{", lambda found: f"{found[1] * 2}\\${{", plain)
    quoted: str = QuotedString(escaped, Quote.single).with_quotes()
    return quoted


def _key(key: str, name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[\w.$/-]+", name):
        raise UsageError(f"{key}: {name!r} is no name of a setting")
    return name
