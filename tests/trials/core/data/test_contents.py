"""What a data set holds is known by a fingerprint, read once while its files stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.trials.core.data.idx_files import mnist
from trials.core.data import contents
from trials.core.data.arrays import Arrays, load_arrays
from trials.core.data.contents import content_of, noted_content


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "raysweep"


def test_it_is_that_of_the_arrays_wherever_and_however_their_files_lie(tmp_path: Path) -> None:
    plain, zipped = mnist(tmp_path / "a"), mnist(tmp_path / "b [1]", zipped=True)
    expected = load_arrays("mnist", str(plain)).digest()
    assert content_of("mnist", str(plain)) == content_of("mnist", str(zipped)) == expected


def test_data_are_read_once_and_again_when_a_file_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(mnist(tmp_path / "data"))
    assert content_of("mnist", folder, read=False) is None
    before = noted_content("mnist", folder, load_arrays("mnist", folder))
    with monkeypatch.context() as patched:
        patched.setattr(contents, "load_arrays", None)
        assert content_of("mnist", folder) == content_of("mnist", folder, read=False) == before
    mnist(Path(folder), seed=1)
    os.utime(Path(folder) / "train-images-idx3-ubyte", ns=(0, 0))
    assert content_of("mnist", folder, read=False) is None
    assert content_of("mnist", folder) == load_arrays("mnist", folder).digest() != before


def test_without_a_cache_data_are_read_each_time(tmp_path: Path, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file in the way of the folder", encoding="ascii")
    folder = str(mnist(tmp_path / "data"))
    assert content_of("mnist", folder) == content_of("mnist", folder) == load_arrays("mnist", folder).digest()


def test_data_that_cannot_be_read_have_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no MNIST at"):
        content_of("mnist", str(tmp_path / "nowhere"))


def test_what_is_no_file_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function's arrays, or an address without dates: nothing tells whether they are what they were."""
    asked: list[int] = []

    def loaded(name: str, path: str | None) -> Arrays:
        asked.append(len(asked))
        ones = np.full((2, 1, 28, 28), len(asked), np.uint8)
        labels = np.array([0, 1])
        return Arrays(train_inputs=ones, train_labels=labels, test_inputs=ones, test_labels=labels)

    monkeypatch.setattr(contents, "load_arrays", loaded)
    assert content_of("mnist", "my_package.my_module:arrays") != content_of("mnist", "my_package.my_module:arrays")
    assert len(asked) == 2
    assert content_of("mnist", "my_package.my_module:arrays", read=False) is None
