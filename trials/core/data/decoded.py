"""Decoded data sets on disk, so that a machine decompresses a data set's images once and not once a process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np


def cache_folder() -> Path | None:
    """Return the user's folder of decoded data sets: `raysweep` below XDG_CACHE_HOME or `~/.cache`.

    Without a home there is none: in a container, say, whose user is a number. As its standard has it, XDG_CACHE_HOME
    counts where it is absolute.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named / "raysweep"
    try:
        return Path.home() / ".cache" / "raysweep"
    except RuntimeError:
        return None


def download_folder() -> Path:
    """Return the folder for downloads, the same.

    Raises:
        OSError: There is none.
    """
    if (folder := cache_folder()) is None:
        raise OSError("there is no home folder to keep it in, and XDG_CACHE_HOME names none")
    return folder


def decoded_once(
    name: str, identity: Iterable[object], decode: Callable[[], Mapping[str, np.ndarray]]
) -> Mapping[str, np.ndarray]:
    """Return the arrays of a data set, from a cached file whose name starts with `name`, or decoded and then cached.

    `identity` tells the source files from changed ones: their places, sizes and dates.
    """
    key = hashlib.sha256(repr(tuple(identity)).encode()).hexdigest()[:20]
    if (folder := cache_folder()) is None:
        return decode()
    file = folder / f"{name}-{key}.npz"
    # A damaged file, however it is, is decoded again; a folder that cannot be written only costs the time to decode.
    with contextlib.suppress(Exception):
        return _read(file)
    arrays = decode()
    with contextlib.suppress(OSError):
        _write(file, arrays)
    return arrays


def _read(file: Path) -> Mapping[str, np.ndarray]:
    # Opened here, since numpy leaves a file open that it cannot make sense of.
    with file.open("rb") as stream, np.load(stream) as stored:
        return dict(stored)


def _write(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write under another name, then rename: a reader sees a whole file or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".writing-", suffix=".npz", delete=False) as draft:
        try:
            np.savez(draft, allow_pickle=False, **arrays)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
    Path(draft.name).replace(file)


@contextlib.contextmanager
def quiet_download(name: str) -> Iterator[None]:
    """Turn every way in which a download can fail into one line that says what to do instead.

    Raises:
        ValueError: The download failed, or torchvision is not installed.
    """
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        try:
            yield
        except (ImportError, OSError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"cannot download {name} ({reason}); give the path of a folder that holds it") from error
