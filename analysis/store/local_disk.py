"""Storage in a local folder: objects appear by hard link and are on the disk when a write returns."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from analysis.store.errors import KeyAbsent, StoreError, StoreFull, StoreUnwritable
from analysis.store.layout import is_hidden

_INCOMING = ".incoming"
_ABANDONED_AFTER_SECONDS = 86_400.0
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class LocalDisk:
    """Named bytes in a folder; see `Storage`."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folder = Path(root)
        self._path = os.fspath(self._folder)  # joining paths as text is what makes hundreds of small reads fast

    def create(self, key: str, content: bytes) -> bool:
        with self._telling(key):
            return self._publish(key, content, _linked)

    def replace(self, key: str, content: bytes) -> None:
        with self._telling(key):
            self._publish(key, content, _renamed)

    def read(self, key: str, most: int | None = None) -> pa.Buffer:
        try:
            with pa.OSFile(f"{self._path}/{key}") as file:
                return file.read_buffer(most)
        except FileNotFoundError as absent:
            raise KeyAbsent(key) from absent
        except OSError as error:
            raise self._told(key, error) from error

    def exists(self, key: str) -> bool:
        return (self._folder / key).is_file()

    def listing(self, folder: str) -> dict[str, int]:
        with self._telling(folder), _absent_told(folder):
            visible = (entry for entry in self._entries(folder) if not is_hidden(entry.name))
            return {entry.name: entry.stat().st_size for entry in visible if _leads(entry.is_file)}

    def folders(self, folder: str = "") -> list[str]:
        with self._telling(folder):
            return [entry.name for entry in self._entries(folder) if _leads(entry.is_dir) and not is_hidden(entry.name)]

    def delete(self, key: str) -> None:
        with self._telling(key), contextlib.suppress(FileNotFoundError):
            (self._folder / key).unlink()

    def probe(self) -> bool:
        key = f".probe-{uuid.uuid4().hex}"
        self.create(key, b"first")
        try:
            refused = not self.create(key, b"second")
            return refused and self.read(key).to_pybytes() == b"first"
        finally:
            self.delete(key)

    def clean(self) -> None:
        """Remove temporary files of writers that crashed; a writer that still lives notices and writes again."""
        for entry in self._entries(_INCOMING):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
                    os.unlink(entry.path)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder / folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return []

    def _publish(self, key: str, content: bytes, appear: Callable[[Path, Path], bool]) -> bool:
        target = self._folder / key
        _make_folder(target.parent)
        _make_folder(self._folder / _INCOMING)
        temporary = self._folder / _INCOMING / uuid.uuid4().hex
        try:
            _write_durably(temporary, content)
            appeared = appear(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        # Also after a refusal: the rival that created the file may not have reached its own fsync of the folder.
        _sync_folder(target.parent)
        return appeared

    @contextlib.contextmanager
    def _telling(self, key: str) -> Iterator[None]:
        """Turn what the operating system says about `key` into a `StoreError`."""
        try:
            yield
        except OSError as error:
            raise self._told(key, error) from error

    def _told(self, key: str, error: OSError) -> StoreError:
        if error.errno in _NO_SPACE:
            return StoreFull(f"no space left for {key} in {self.root}; free some and run again, nothing was lost")
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return StoreUnwritable(
                f"no permission for {key or 'the folder'} in {self.root}; results need a folder you own"
            )
        if error.errno in {errno.EEXIST, errno.ENOTDIR, errno.EISDIR}:
            return StoreUnwritable(f"{self.root} is not a folder, or a file stands in the way of {key}")
        if error.errno == errno.ENOENT:
            return StoreError(f"{self.root} was removed while {key} was written; run again")
        return StoreError(f"{key} in {self.root}: {error.strerror or error}")


def _leads(question: Callable[[], bool]) -> bool:
    """Answer whether an entry is a file, or a folder; a link that leads nowhere or to itself is neither."""
    try:
        return question()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False


@contextlib.contextmanager
def _absent_told(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as absent:
        raise KeyAbsent(key) from absent


def _linked(temporary: Path, target: Path) -> bool:
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _renamed_if_new(temporary, target)
    return True


def _renamed_if_new(temporary: Path, target: Path) -> bool:
    """Serve file systems without hard links: whole files still, though of two at once the second may win."""
    return not target.exists() and _renamed(temporary, target)


def _renamed(temporary: Path, target: Path) -> bool:
    os.replace(temporary, target)
    return True


def _write_durably(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    """Create `folder` and its parents, each entry durable before a file relies on it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
