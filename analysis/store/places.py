"""Places: paths and URLs as people write them, resolved once, where they enter."""

from __future__ import annotations

import os


def located(place: str) -> str:
    """Return a place with the home folder where it says `~`; everything else stays as it is spelt.

    A shell does this itself, except in quotes, and nobody does it for a variable from an env file.

    Raises:
        ValueError: The place is empty, or there is no such home folder.
    """
    if not place:
        raise ValueError("a path is empty; write one, or leave it out")
    if not place.startswith("~"):
        return place
    found = os.path.expanduser(place)
    if found.startswith("~"):
        raise ValueError(f"{place}: there is no home folder for {place.partition('/')[0]}; write the whole path")
    return found


def root_of(place: str | os.PathLike[str]) -> str:
    """Return the root of a results store, without the slashes that it may end with.

    Raises:
        ValueError: The place is empty, or there is no such home folder.
    """
    root = located(os.fspath(place))
    return root.rstrip("/") or "/"
