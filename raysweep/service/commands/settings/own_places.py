"""Data by a place rather than by a name: `data=FILE.npz`, `data=FOLDER/`, `data=package.module:function`."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raysweep.service.errors import UsageError
from trials.core.columns import KnobField
from trials.core.data.decoded import cache_folder
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


def kept(data: Any) -> Any:
    """Return the file in the user's cache that has arrays which a program gives as data; anything else as it is.

    Args:
        data: Inputs and labels as a pair, or arrays by name as an .npz file has them.

    Raises:
        UsageError: They hold objects, or there is no place for them.
    """
    arrays = dict(zip(("inputs", "labels"), data, strict=True)) if isinstance(data, tuple) and len(data) == 2 else data
    if not isinstance(arrays, Mapping) or not any(hasattr(each, "shape") for each in arrays.values()):
        return data
    import numpy as np

    folder, stream = cache_folder(), io.BytesIO()
    if folder is None:
        raise UsageError("data: there is no home folder in which to keep these arrays; set XDG_CACHE_HOME")
    try:
        np.savez(stream, allow_pickle=False, **{str(name): np.asarray(each) for name, each in arrays.items()})
    except ValueError:
        raise UsageError("data: there are arrays of Python objects among these; give numbers and text") from None
    file = folder / f"given-{hashlib.sha256(stream.getvalue()).hexdigest()[:20]}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".writing-{os.getpid()}-{file.name}")
        draft.write_bytes(stream.getvalue())
        draft.replace(file)
    return str(file)


def is_place(value: str) -> bool:
    """Return whether a value for `data` is where data lie, and not the name of a data set."""
    plain = value.strip("'\"")
    return plain not in DATA_SETS and (any(sign in plain for sign in "/.:~") or Path(plain).exists())
