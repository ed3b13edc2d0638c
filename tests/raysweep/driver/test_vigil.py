"""A head that falls silent is noticed, whether or not the sweep can end by itself."""

from __future__ import annotations

import socket
import threading

import pytest

from raysweep.service.driver import vigil
from raysweep.service.driver.vigil import Vigil
from raysweep.service.errors import ClusterLost


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vigil, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(vigil, "GRACE_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
def test_a_silent_head_is_lost_and_one_that_answers_is_not() -> None:
    told: list[ClusterLost] = []
    ended = threading.Event()

    def lost(error: ClusterLost) -> None:
        told.append(error)
        ended.set()

    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        with Vigil(address, lost, patience_seconds=0.2) as watched:
            assert not ended.wait(0.5)
            watched.raise_if_lost()
            head.close()
            assert ended.wait(10.0)
            with pytest.raises(ClusterLost, match=f"the Ray cluster at {address} is lost: silent for"):
                watched.raise_if_lost()
    assert len(told) == 1


@pytest.mark.usefixtures("quick")
def test_a_sweep_that_ends_by_itself_is_not_ended() -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
    with Vigil(address, lambda error: ended.set(), patience_seconds=1000.0):
        pass
    assert not ended.wait(0.2)
