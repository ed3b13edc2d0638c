"""Contents: the fingerprint of what a data set holds, read once while its files stay as they are."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from trials.core.data.arrays import Arrays, load_arrays
from trials.core.data.decoded import cache_folder
from trials.core.data.records import data_set


def content_of(name: str, path: str | None = None, *, read: bool = True) -> str | None:
    """Return the digest of a data set, as `Arrays.digest` has it.

    It is kept in the user's cache folder under the names, sizes and dates of the data set's files, and under the
    sources of all readers.

    Args:
        name: One of `DATA_SETS`.
        path: Folder or URL of the data set's files, or None for its own place.
        read: Whether to read the data where the cache does not know them; None is returned for them otherwise.

    Raises:
        ValueError: The data are to be read and cannot be.
    """
    file = _kept(name, path)
    with contextlib.suppress(OSError, RuntimeError):
        if file is not None and (known := file.read_text(encoding="ascii")):
            return known
    return noted_content(name, path, load_arrays(name, path)) if read else None


def noted_content(name: str, path: str | None, arrays: Arrays) -> str:
    """Return the digest of arrays that have just been read from `path`, and keep it for `content_of`."""
    digest, file = arrays.digest(), _kept(name, path)
    with contextlib.suppress(OSError):  # a folder that cannot be written only costs the time to read
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = file.with_name(f".writing-{file.name}-{os.getpid()}")
            draft.write_text(digest, encoding="ascii")
            draft.replace(file)
    return digest


def _kept(name: str, path: str | None) -> Path | None:
    """Return the file that keeps the digest, None where files cannot be told from later ones of the same name."""
    try:
        versions = () if path is None else tuple(_versions(path))
        if path is not None and not versions:  # it is no file: a function, say, or nothing at all
            return None
        key = hashlib.sha256(repr((repr(data_set(name)), _readers(), path, versions)).encode()).hexdigest()[:20]
        folder = cache_folder()
        return folder / f"content-{key}" if folder else None
    except (OSError, RuntimeError, ImportError, ValueError):  # a place that cannot be listed
        return None


def _readers() -> str:
    """Return the digest of the sources that read data."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _versions(path: str) -> Iterator[tuple[str, ...]]:
    """Yield what tells each file of a folder or URL from a later one of its name.

    Raises:
        ValueError: Nothing does.
    """
    if "://" in path:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(path)
        for file, facts in sorted(filesystem.find(root, detail=True).items()):
            version = [str(facts[key]) for key in ("mtime", "LastModified", "ETag", "etag") if facts.get(key)]
            if not version:
                raise ValueError(f"{file} has neither a date nor a version")
            yield (file, str(facts.get("size")), *version)
        return
    root = Path(path).absolute()
    for file in [root] if root.is_file() else sorted(root.rglob("*")):
        facts = file.stat()
        yield (str(file), str(facts.st_size), str(facts.st_mtime_ns))
