"""A set of shards is read only where it is whole and each of it is there once."""

from __future__ import annotations

import re

import pytest

from trials.core.data.shards import folder_files, refuse_copies, shards


def _names(*stems: str) -> list[str]:
    return [f"{stem}.parquet" for stem in stems]


@pytest.mark.parametrize(
    "names",
    [
        _names("train-00000-of-00001"),
        _names("train-00000-of-00002", "train-00001-of-00002"),
        _names("train-00001-of-00002", "train-00002-of-00002"),
        _names("train-00000-of-00002-0a1b2c3d4e5f6071", "train-00001-of-00002-f0e1d2c3b4a59687"),
        _names("train-0", "train-1", "train-10", "train-2", "train-3", "train-4", "train-5", "train-6", "train-7")
        + _names("train-8", "train-9"),
        _names("train-2019", "train-2021"),
        _names("train-clean", "train-noisy"),
        _names("train-0", "train-noisy"),
    ],
)
def test_a_whole_set_is_read_in_the_order_of_its_names(names: list[str]) -> None:
    beside = ["._train-00000-of-00001.parquet", "train-00000-of-00009.parquet.part", "README.md", "test-0.parquet"]
    assert shards([*reversed(names), *beside], "train", ".parquet", "here") == sorted(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (_names("train-00000-of-00003", "train-00002-of-00003"), "'here' lacks train-00001-of-00003.parquet: its"),
        (_names("train-00000-of-00004"), "lacks train-00001-of-00004.parquet and 2 more"),
        (_names("train-00002-of-00002"), "lacks train-00001-of-00002.parquet"),
        (_names("train-00001-of-00002"), "lacks train-00000-of-00002.parquet"),
        (_names("train-00001-of-00002-0a1b"), "lacks train-00000-of-00002-*.parquet"),
        (_names("train-0", "train-2"), "lacks train-1.parquet"),
        (_names("train-09", "train-10", "train-01"), "lacks train-02.parquet and 6 more"),
        (
            _names("train-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"),
            "2 generations of shards, such as 'train-00000-of-00001.parquet' and 'train-00001-of-00002.parquet'",
        ),
        (
            _names("train-00000-of-00001-aa", "train-00000-of-00001-bb"),
            "a shard twice, 'train-00000-of-00001-aa.parquet' and 'train-00000-of-00001-bb.parquet'",
        ),
        (_names("train-1", "train-01"), "a shard twice, 'train-01.parquet' and 'train-1.parquet'"),
        (_names("train-00000-of-00001", "train-00000-of-00001 (1)"), "holds 'train-00000-of-00001 (1).parquet' among"),
        (_names("train-00000-of-00001", "train-0"), "holds 'train-0.parquet' among"),
    ],
)
def test_a_set_with_gaps_or_doubles_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        shards(names, "train", ".parquet", "here")


def test_files_of_one_content_are_refused() -> None:
    refuse_copies({"train-a": "1", "train-b": "2"}, "here")
    with pytest.raises(ValueError, match="'train-b' is a copy of 'train-a'"):
        refuse_copies({"train-a": "1", "train-c": "2", "train-b": "1"}, "here")


@pytest.mark.parametrize("name", ["a[1]", "what?", "*", "{b,c}", "k=v", "c::d", "it's", "sp ace"])
def test_a_folder_is_found_by_the_letters_of_its_name(tmp_path, name: str) -> None:
    for folder in (name, "a1", "whatX", "b"):
        (tmp_path / folder / "test-0.parquet").mkdir(parents=True)
        (tmp_path / folder / f"train-{folder}.parquet").touch()
    filesystem, files = folder_files(str(tmp_path / name))
    assert dict(files) == {f"train-{name}.parquet": f"{tmp_path}/{name}/train-{name}.parquet"}
    assert filesystem.exists(*files.values())


def test_a_folder_that_is_not_there_has_no_files(tmp_path) -> None:
    assert not folder_files(str(tmp_path / "none"))[1]
    (tmp_path / "file").touch()
    assert not folder_files(str(tmp_path / "file" / "below"))[1]
