"""Storage: the seven operations on named bytes that the results store is built from."""

from __future__ import annotations

import os
from typing import Protocol

import pyarrow as pa


class Storage(Protocol):
    """Named bytes below a root: a local folder or a prefix of a bucket.

    Keys are relative paths with forward slashes. An object appears whole or not at all, and what a method has done is
    durable when it returns.

    Attributes:
        root: The root as the user wrote it, without credentials.
    """

    root: str

    def create(self, key: str, content: bytes) -> bool:
        """Store `content` under a new `key`; return False and change nothing where one exists already.

        A storage that cannot express the condition replaces instead, so callers give equal content to equal keys
        or look with `exists` first.
        """
        ...

    def replace(self, key: str, content: bytes) -> None:
        """Store `content` under `key`, atomically in place of what is there."""
        ...

    def read(self, key: str, most: int | None = None) -> pa.Buffer:
        """Return the content of `key`, or its first `most` bytes.

        Raises:
            KeyAbsent: Nothing is stored there.
        """
        ...

    def exists(self, key: str) -> bool:
        """Return whether something is stored under `key`."""
        ...

    def listing(self, folder: str) -> dict[str, int]:
        """Return the names directly in `folder` and their sizes in bytes, sorted by name; none for a missing folder.

        Hidden ones, whose names begin with a dot, are left out: systems and editors leave them, and no store.
        """
        ...

    def folders(self, folder: str = "") -> list[str]:
        """Return the sorted names of the folders directly in `folder`, hidden ones left out."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; one that is absent is no error."""
        ...

    def probe(self) -> bool:
        """Write, read and delete below the root; return whether `create` refuses an existing key.

        Raises:
            StoreError: The root cannot be used, with the reason.
        """
        ...

    def clean(self) -> None:
        """Remove what crashed writers left outside the listing."""
        ...


def stored_first(storage: Storage, key: str, content: bytes) -> bool:
    """Create `key`; return whether it holds our `content` now.

    A refusal may be the echo of our own write whose first answer was lost, so what is stored decides.
    """
    return storage.create(key, content) or storage.read(key).to_pybytes() == content


def open_storage(root: str | os.PathLike[str]) -> Storage:
    """Return the storage of `root`: `s3://bucket/prefix`, or else a local folder, which need not exist.

    Raises:
        ValueError: The root names another scheme, no bucket or no folder.
    """
    text = root_of(root)
    if text.startswith("s3://"):
        from analysis.store.s3 import S3Storage

        return S3Storage(text)
    if "://" in text:
        raise ValueError(f"results root {text.split('://')[0]}://... is neither s3://bucket/prefix nor a local folder")
    from analysis.store.local_disk import LocalDisk

    return LocalDisk(text)


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


def default_root() -> str:
    """Return the root of a command that is told none, as it is spelt."""
    return os.environ.get("RAYSWEEP_RESULTS") or "results"


def root_of(place: str | os.PathLike[str]) -> str:
    """Return the root of a results store, without the slashes that it may end with.

    Raises:
        ValueError: The place is empty, or there is no such home folder.
    """
    root = located(os.fspath(place))
    return root if root.endswith("://") else root.rstrip("/") or "/"
