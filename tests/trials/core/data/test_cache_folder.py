"""The folder of decoded data is a convenience: a user without a home has none, and reads all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trials.core.data.decoded import cache_folder, decoded_once, download_folder


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("named", ["", "~/cache", "cache"])
def test_a_folder_that_is_named_must_be_absolute(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert cache_folder() == tmp_path / "home" / ".cache" / "raysweep"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "raysweep"


def test_without_a_home_data_are_decoded_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() is None
    arrays = decoded_once("made", ["identity"], lambda: {"train_inputs": np.arange(3)})
    assert arrays["train_inputs"].tolist() == [0, 1, 2]
    with pytest.raises(OSError, match="there is no home folder to keep it in, and XDG_CACHE_HOME names none"):
        download_folder()
