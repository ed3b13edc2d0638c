"""The local folder: errors of the disk, and what a crashed writer leaves."""

from __future__ import annotations

import errno
import os
import resource
import time
from pathlib import Path

import pytest

from analysis.store import local_disk
from analysis.store.errors import CorruptedPart, StoreError, StoreFull, StoreUnwritable, StoreWarning
from analysis.store.local_disk import LocalDisk
from analysis.store.results import Results
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial


def inbox(root: Path) -> list[Path]:
    return sorted((root / STUDY / "inbox").glob("*"))


def test_a_full_disk_shows_nothing_of_the_write(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a")], {"a": rows()})
    before = inbox(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(StoreFull, match="no space left for walk/inbox"):
            results.write(SCHEMA, [trial("b")], {"b": rows()})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert inbox(tmp_path) == before
    assert list((tmp_path / ".incoming").iterdir()) == []
    results.write(SCHEMA, [trial("b")], {"b": rows()})
    assert results.finished(STUDY) == {"a", "b"}


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StoreFull), (errno.EACCES, StoreUnwritable), (errno.EIO, StoreError)]
)
def test_errors_of_the_disk_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StoreError]
) -> None:
    def fail(path: Path, content: bytes) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(local_disk, "_write_durably", fail)
    with pytest.raises(kind) as caught:
        Results(tmp_path).prepare(SCHEMA)
    assert "\n" not in str(caught.value)


def test_a_file_in_the_place_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("no folder")
    with pytest.raises(StoreUnwritable, match="not a folder"):
        Results(tmp_path / "results").prepare(SCHEMA)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnwritable, match="no permission"):
        Results(tmp_path / "results").prepare(SCHEMA)


@pytest.mark.parametrize("root", ["gs://bucket/prefix", "s3://", "s3://key:secret@bucket/prefix"])
def test_roots_that_are_no_roots(root: str) -> None:
    with pytest.raises(ValueError, match="results root") as caught:
        Results(root)
    assert "secret" not in str(caught.value)


def test_file_systems_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    disk = LocalDisk(str(tmp_path))
    assert disk.probe()
    assert disk.create("folder/key", b"one")
    assert not disk.create("folder/key", b"two")
    assert disk.read("folder/key").to_pybytes() == b"one"


def test_what_crashed_writers_left_goes_after_a_day(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a")], {})
    old, new = (tmp_path / ".incoming" / name for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half a file")
    os.utime(old, (time.time() - 90_000,) * 2)
    results.compact(STUDY)
    assert (old.exists(), new.exists()) == (False, True)
    assert results.studies() == [STUDY]


@pytest.mark.parametrize("table", ["trials", "measurements"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "scribbled"])
def test_a_corrupted_pack_is_named_and_skipped_on_request_only(tmp_path: Path, table: str, damage: str) -> None:
    results = Results(tmp_path)
    for name in ("a", "b"):
        results.write(SCHEMA, [trial(name)], {name: rows()})
    path = next(path for path in inbox(tmp_path) if path.name.endswith(f"{table}.parquet"))
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-9], "emptied": b"", "scribbled": b"x" * len(content)}[damage])
    with pytest.raises(CorruptedPart, match=path.name):
        results.measurements(STUDY)
    with pytest.raises(CorruptedPart, match=path.name):
        results.compact(STUDY)
    tolerant = Results(tmp_path, skip_corrupted=True)
    with pytest.warns(StoreWarning, match=path.name):
        assert len(tolerant.measurements(STUDY)) == 3
    with pytest.warns(StoreWarning, match=path.name):
        assert tolerant.compact(STUDY).trials == 1
    assert [finding.kind for finding in results.check(STUDY)] == ["corrupted"]
    path.write_bytes(content)
    results.compact(STUDY)
    assert results.finished(STUDY) == {"a", "b"}


def test_writing_again_mends_a_corrupted_pack(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a")], {"a": rows()})
    for path in inbox(tmp_path):
        path.write_bytes(path.read_bytes()[:-9])
    results.write(SCHEMA, [trial("a")], {"a": rows()})
    assert results.measurements(STUDY)["loss"].tolist() == [0.0, 1.0, 2.0]
