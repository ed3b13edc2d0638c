"""Shards: the files of one split in a folder or behind a URL, refused where one is missing or there twice."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple


class _Shard(NamedTuple):
    """What the name of a shard says; a total of 0 where it does not say how many there are."""

    name: str
    digits: str
    total: int

    @property
    def number(self) -> int:
        return int(self.digits)


def folder_files(folder: str) -> tuple[Any, Mapping[str, str]]:
    """Return the fsspec file system of a folder or URL, and the files directly in it: name -> path there.

    A folder that does not exist has none. Its name is taken letter by letter: brackets and stars are no pattern.

    Raises:
        ValueError: It cannot be read.
    """
    import fsspec

    try:
        # A plain path is none of url_to_fs's, to which two colons in a name chain file systems.
        filesystem, root = fsspec.core.url_to_fs(folder) if "://" in folder else (fsspec.filesystem("file"), folder)
        try:
            entries = filesystem.ls(root, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            entries = []
    except Exception as error:  # every file system has errors of its own
        raise ValueError(f"cannot read {folder!r}: {' '.join(str(error).split()) or type(error).__name__}") from error
    files = [entry["name"] for entry in entries if entry["type"] != "directory"]
    return filesystem, {file.rpartition("/")[2]: file for file in files}


def shards(names: Collection[str], split: str, ending: str, where: str) -> list[str]:
    """Return the names `SPLIT-*ENDING` in their order, none where there are none.

    Names like `train-00000-of-00002.parquet` say how many there are, those like `train-0.parquet` which comes first.

    Raises:
        ValueError: By its name a shard is missing or there twice, or another file lies among them.
    """
    found = sorted(name for name in names if name.startswith(f"{split}-") and name.endswith(ending))
    # What follows the total is a fingerprint, which some writers add.
    counted = _shards(rf"{re.escape(split)}-(\d+)-of-(\d+)(?:-[0-9a-f]+)?{re.escape(ending)}", found)
    if counted:
        _refuse_mixture(found, counted, where)
        _refuse_doubles(counted, where)
        _refuse_gaps(counted, counted[0].total, where)
    elif (counted := _shards(rf"{re.escape(split)}-(\d+)(){re.escape(ending)}", found)) and len(counted) == len(found):
        _refuse_doubles(counted, where)
        if min(shard.number for shard in counted) < 2:  # larger ones may be years
            _refuse_gaps(counted, 0, where)
    return found


def refuse_copies(digests: Mapping[str, str], where: str) -> None:
    """Refuse files of one content, whatever their names.

    Args:
        digests: Name of a file -> digest of its bytes.
        where: The folder.

    Raises:
        ValueError: Two have one digest.
    """
    first: dict[str, str] = {}
    for name, digest in digests.items():
        if digest in first:
            raise ValueError(f"{where!r} holds the same samples twice: {name!r} is a copy of {first[digest]!r}")
        first[digest] = name


def _shards(pattern: str, names: Sequence[str]) -> list[_Shard]:
    matches = [re.fullmatch(pattern, name) for name in names]
    return [_Shard(match[0], match[1], int(match[2] or 0)) for match in matches if match]


def _refuse_mixture(found: Sequence[str], counted: Sequence[_Shard], where: str) -> None:
    names = [shard.name for shard in counted]
    if strangers := [name for name in found if name not in names]:
        raise ValueError(
            f"{where!r} holds {strangers[0]!r} among the shards {', '.join(names)}; leave one or the other"
        )
    generations = {shard.total: shard.name for shard in counted}
    if len(generations) > 1:
        named = " and ".join(map(repr, generations.values()))
        raise ValueError(f"{where!r} holds {len(generations)} generations of shards, such as {named}; leave one")


def _refuse_doubles(counted: Sequence[_Shard], where: str) -> None:
    first: dict[int, str] = {}
    for shard in counted:
        if shard.number in first:
            raise ValueError(f"{where!r} holds a shard twice, {first[shard.number]!r} and {shard.name!r}; leave one")
        first[shard.number] = shard.name


def _refuse_gaps(counted: Sequence[_Shard], total: int, where: str) -> None:
    """Refuse numbers that are not all there: `total` of them from 0 or from 1, or all up to the largest if it is 0."""
    numbers = {shard.number for shard in counted}
    first = int(total in numbers) if total else min(numbers)
    missing = sorted(set(range(first, first + total if total else max(numbers))) - numbers)
    if missing:
        like = counted[0]
        name = like.name.replace(like.digits, f"{missing[0]:0{len(like.digits)}d}", 1)
        name = re.sub(r"(-of-\d+)-[0-9a-f]+", r"\1-*", name)
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"{where!r} lacks {name}{others}: its shards are {', '.join(shard.name for shard in counted)}")
