"""Overrides as researchers write them: what Hydra is told instead, and which of two for one knob counts."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from raysweep.service.errors import UsageError
from search_spaces.core.axes import WHOLE_NUMBERS
from search_spaces.core.space import spoken_of
from trials.core.columns import KnobField

DATA_NAME = "data_name"
"""Column of the knob that the group `data` chooses."""
PATHS = ("results", "figure", "data.path")
"""Settings that are paths: spelt as typed, whatever number, list or nothing they look like."""

_AS_TYPED = (*PATHS, "space", "data")
_OF_KNOBS = ("axes.", "search.over.", "boundary.over.")


@dataclass(frozen=True)
class Override:
    """One override.

    Attributes:
        typed: What the user wrote.
        key: The setting that Hydra is told of.
        value: Its value in Hydra's grammar.
        column: The knob that it gives one value or an axis, empty where it does something else.
    """

    typed: str
    key: str
    value: str
    column: str = ""

    @property
    def is_axis(self) -> bool:
        """Whether it gives knobs axes."""
        return self.key.partition(".")[0] == "axes"

    @property
    def gives(self) -> Collection[str]:
        """The columns of the knobs to which it gives a value or an axis."""
        return [self.column] if self.column else self.spoken_of if self.is_axis else []

    @property
    def spoken_of(self) -> Collection[str]:
        """The columns of all knobs of which it says something."""
        if self.column:
            return [self.column]
        return spoken_of(self.nested())

    def nested(self) -> dict[str, Any]:
        """Return the value below its key, as a configuration has it."""
        *groups, last = self.key.split(".")
        return reduce(lambda inner, group: {group: inner}, reversed(groups), {last: self.read()})

    def read(self) -> Any:
        """Return the value as Python has it, None where Hydra cannot read it."""
        try:
            return OverridesParser.create().parse_override(f"{self.key}={self.value}").value()
        except HydraException:
            return None  # Hydra says why as it composes


def understood(overrides: Sequence[str], columns: Mapping[str, KnobField]) -> list[Override]:
    """Return what Hydra is told; of several overrides for one setting, or for one knob, only the last.

    `seed=range(5)`, `seed=0..4`, `seed=[0,1]` and `width=64,128` become axes, for a knob is one value; expressions
    reach `search_spaces.core.axes` as text.

    Raises:
        UsageError: An override cannot be read, would take a setting away, or is at odds with another.
    """
    last: dict[str, Override] = {}
    for typed in overrides:
        override = _understood(typed, columns)
        last.pop(subject := override.column or override.key, None)
        last[subject] = override
    chosen = list(last.values())
    _refuse_contradictions(chosen)
    return chosen


def _understood(typed: str, columns: Mapping[str, KnobField]) -> Override:
    key, separator, value = typed.partition("=")
    key = key.lstrip("+")  # whether Hydra would change or add something: here every setting is there
    if key.startswith("~"):
        raise UsageError(f"{typed!r} would take a setting away; write name=value to change it")
    if not separator or not key:
        raise UsageError(f"{typed!r} is no override; write name=value, for example seed=1 (--help lists the names)")
    if not re.fullmatch(r"\w+(\.\w+)*", key):
        raise UsageError(f"cannot read {typed!r}: {key!r} is no name of a setting")
    _refuse_former(key, value, columns)
    column = DATA_NAME if key == "data" else key.removeprefix("axes.").replace(".", "_")
    several = re.fullmatch(rf"\w+\(.*\)|{WHOLE_NUMBERS}", value) or ("," in value and value[:1] not in "[{'\"")
    if key.startswith("axes."):
        return Override(typed, f"axes.{column}", f"'{value}'" if several else value, column)
    if column in columns and (several or re.fullmatch(r"\[.*\]", value)):
        return Override(typed, f"axes.{column}", f"'{value}'" if several else value, column)
    if key in _AS_TYPED:
        return Override(typed, key, _as_typed(key, value), column if column in columns else "")
    if key.startswith(_OF_KNOBS) and several:
        value = f"'{value}'"
    return Override(typed, key, value, column if column in columns else "")


def _as_typed(key: str, value: str) -> str:
    """Return text for Hydra; what is in quotes is its text already."""
    if not value:
        raise UsageError(f"{key}= is empty; write a {'path' if key in PATHS else 'name'}")
    if re.fullmatch(r"'.*'|\".*\"", value, flags=re.DOTALL):
        return value
    quoted: str = QuotedString(value, Quote.single).with_quotes()
    return quoted


def _refuse_contradictions(overrides: Sequence[Override]) -> None:
    """Raise a UsageError where one override gives a knob and another links, computes or searches it."""
    given = {override.column: override for override in overrides if override.column}
    for override in overrides:
        for column in sorted(given.keys() & override.spoken_of):
            if given[column] is not override:
                raise UsageError(f"{given[column].typed} and {override.typed} both say what {column} is; give one")


def _refuse_former(key: str, value: str, columns: Mapping[str, KnobField]) -> None:
    """Raise a UsageError for a setting that goes by the former name of a knob."""
    former = {declared.identity: declared for declared in columns.values() if declared.was}
    place = next((place for place in _OF_KNOBS if key.startswith(place)), "")
    written = key.removeprefix(place)
    if place.endswith("over."):
        name, dot, rest = written.partition(".")
    else:
        name, dot, rest = written.replace(".", "_"), "", ""
    if name in former:
        now = former[name].name if place else ".".join(former[name].path)
        raise UsageError(f"{key} is now called {place}{now}{dot}{rest}{_measure(former[name], value)}")


def _measure(declared: KnobField, value: str) -> str:
    """Return what to say of the value that was given under a knob's former name, where it is now another number."""
    if not declared.reciprocal:
        return ""
    whole = value.isdecimal() and int(value) > 0
    return f", with 1/n for what was n{f': {declared.value_now(int(value)):.6g}' if whole else ''}"
