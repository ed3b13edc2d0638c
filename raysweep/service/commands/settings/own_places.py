"""Data by a place rather than by a name: `data=FILE.npz`, `data=FOLDER/`, `data=package.module:function`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from raysweep.service.errors import UsageError
from trials.core.columns import KnobField
from trials.core.data.records import DATA_SETS, OWN


def placed(overrides: Iterable[str], columns: Mapping[str, KnobField]) -> Iterator[str]:
    """Yield overrides with a place of data written as the data set `own` and its path.

    Args:
        overrides: As they were typed.
        columns: The study's knobs by name; of one without data nothing is changed.

    Raises:
        UsageError: The study's data are others.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        names = columns["data_name"].choices if key.lstrip("+") == "data" and "data_name" in columns else ()
        own = bool(names) and (value == OWN or is_place(value))
        if own and OWN not in names:
            raise UsageError(
                f"{override}: this study takes no data of your own; allowed are {', '.join(map(str, names))}"
            )
        yield from (f"data={OWN}", f"data.path={value}") if own and value != OWN else (override,)


def is_place(value: str) -> bool:
    """Return whether a value for `data` is where data lie, and not the name of a data set."""
    plain = value.strip("'\"")
    return plain not in DATA_SETS and (any(sign in plain for sign in "/.:~") or Path(plain).exists())
