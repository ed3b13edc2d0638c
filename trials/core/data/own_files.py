"""Readers of data of a user's own: an .npz file, Parquet, a folder of images by class, a function.

Each returns arrays as they are written, by name: `train_inputs`, `train_labels`, `test_inputs` and `test_labels`, or
`inputs` and `labels` where nobody has split them. `trials.core.data.own` makes a data set of them.
"""

from __future__ import annotations

import io
import os
import pkgutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trials.core.data.own_images import TESTS, Found, decoded_images, first_line, folder

_INPUTS = ("inputs", "images", "image", "img", "features", "data", "x", "X")
_LABELS = ("labels", "label", "targets", "target", "classes", "class", "y", "Y")


def reader_for(place: str) -> str:
    """Return which of `READERS` a place wants: by its ending, or by what a folder holds.

    Raises:
        ValueError: There is nothing, or nothing that any of them reads.
    """
    path = Path(place)
    if place.endswith(".npz"):
        return "npz"
    if place.endswith(".parquet") or "://" in place:
        return "parquet"
    if path.is_dir():
        return "parquet" if any(path.glob("*.parquet")) else "folder"
    if not path.exists() and ":" in place:
        return "function"
    kinds = (
        "an .npz file, a .parquet file, a folder of either Parquet files or images by class, or package.module:function"
    )
    raise ValueError(
        f"data={place}: {'this is none' if path.exists() else 'there is no such file'}; allowed are {kinds}"
    )


def npz(place: str, wanted: Mapping[str, Any]) -> Found:
    """Return the arrays of an .npz file, whatever of the usual names they go by: `x_train`, `train_images`, `X`."""
    try:
        with Path(place).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return _by_role({name: stored[name] for name in stored.files}, place, wanted)
    except (OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"data={place} cannot be read: {first_line(error)}") from None
    except ValueError as error:
        pickled = "pickle" in str(error)
        reason = "it has arrays of Python objects; store numbers and text" if pickled else first_line(error)
        raise ValueError(f"data={place}: {reason}") from None


def function(place: str, wanted: Mapping[str, Any]) -> Found:
    """Return what a function `package.module:name` returns: a mapping of arrays, or inputs and labels as a pair."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        told = pkgutil.resolve_name(place)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(f"data={place} cannot be called: {first_line(error)}") from None
    if isinstance(told, tuple) and len(told) == 2:
        told = {"inputs": told[0], "labels": told[1]}
    if not isinstance(told, Mapping):
        raise ValueError(
            f"data={place} returns {type(told).__name__}; it must return arrays by name, or (inputs, labels)"
        )
    return _by_role({str(name): np.asarray(each) for name, each in told.items()}, place, wanted)


def parquet(place: str, wanted: Mapping[str, Any]) -> Found:
    """Return the columns of Parquet files: `train*` and `test*` of a folder or URL, or all of it."""
    import fsspec
    import pyarrow

    try:
        filesystem, root = fsspec.core.url_to_fs(place)
        files = [root] if filesystem.isfile(root) else sorted(filesystem.ls(root, detail=False))
        files = [file for file in files if file.endswith(".parquet") and not Path(file).name.startswith((".", "_"))]
        if not files:
            raise ValueError(f"data={place} has no Parquet files")
        tests = [file for file in files if Path(file).name.startswith(TESTS)] if len(files) > 1 else []
        trains = [file for file in files if file not in tests]
        parts = {"train_": trains, "test_": tests} if tests and trains else {"": files}
        found: dict[str, np.ndarray] = {}
        for part, chosen in parts.items():
            table = pyarrow.concat_tables([_table(filesystem, file) for file in chosen])
            found[f"{part}inputs"], found[f"{part}labels"] = _columns(table, place, wanted)
        return found
    except (OSError, ImportError, pyarrow.ArrowException) as error:
        raise ValueError(f"data={place} cannot be read: {first_line(error)}") from None


def _table(filesystem: Any, file: str) -> Any:
    import pyarrow.parquet

    with filesystem.open(file, "rb") as stream:
        return pyarrow.parquet.read_table(io.BytesIO(stream.read()))


def _columns(table: Any, place: str, wanted: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels: encoded images, a column of lists, or all columns of numbers side by side."""
    import pyarrow.types as kinds

    names = table.column_names
    label = _chosen(wanted.get("labels"), _LABELS, names, place, "labels")
    labels = table[label].to_numpy()
    asked = wanted.get("inputs")
    one = asked if isinstance(asked, str) else next((name for name in _INPUTS if name in names), None)
    if one is not None and one not in names:
        raise ValueError(f"data={place} has no column {one!r}; it has {', '.join(names)}")
    if one is not None and not _is_number(table.schema.field(one).type):
        column = table[one].combine_chunks()
        if kinds.is_struct(column.type):
            column = column.field("bytes")
        if kinds.is_binary(column.type) or kinds.is_large_binary(column.type):
            return decoded_images(column.to_pylist(), wanted.get("side", 0), place), labels
        return _stacked(column.to_pylist(), place), labels
    numbers = [name for name in names if name != label and _is_number(table.schema.field(name).type)]
    several = list(asked) if isinstance(asked, Sequence) and not isinstance(asked, str) else numbers
    if not several:
        raise ValueError(f"data={place} has no columns of numbers or images beside {label!r}")
    return np.stack([table[name].to_numpy().astype(np.float32) for name in several], axis=1), labels


def _is_number(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_floating(kind) or kinds.is_integer(kind) or kinds.is_boolean(kind))


def _by_role(arrays: Mapping[str, np.ndarray], place: str, wanted: Mapping[str, Any]) -> Found:
    """Return the arrays under the names by which a data set knows them."""
    if any("train" in name for name in arrays):
        found = {}
        for split, words in (("train", ("train",)), ("test", TESTS)):
            own = {_without(name, words): each for name, each in arrays.items() if any(word in name for word in words)}
            for role, usual in (("inputs", _INPUTS), ("labels", _LABELS)):
                found[f"{split}_{role}"] = own[_chosen(wanted.get(role), usual, list(own), place, f"{split} {role}")]
        return found
    return {
        role: arrays[_chosen(wanted.get(role), usual, list(arrays), place, role)]
        for role, usual in (("inputs", _INPUTS), ("labels", _LABELS))
    }


def _without(name: str, words: Sequence[str]) -> str:
    for word in words:
        name = name.replace(f"_{word}", "").replace(f"{word}_", "")
    return name


def _chosen(asked: Any, usual: Sequence[str], names: Sequence[str], place: str, role: str) -> str:
    found = asked if asked is not None else next((name for name in usual if name in names), None)
    if found not in names:
        said = f"no {asked!r}" if asked is not None else f"no {role} by a usual name ({', '.join(usual)})"
        raise ValueError(f"data={place} has {said}; it has {', '.join(names) or 'nothing'}; a record says which it is")
    return str(found)


def _stacked(values: Sequence[Any], place: str) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float32)
    except (ValueError, TypeError):
        raise ValueError(f"data={place}: its inputs differ in length or are no numbers") from None


READERS = {"npz": npz, "parquet": parquet, "folder": folder, "function": function}
