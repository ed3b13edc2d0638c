"""Vigil: whether the cluster is still there, asked by a thread beside the sweep.

Ray waits a minute for a head that has gone and then ends the process, whatever it does, with a page of its own words.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from raysweep.service.errors import ClusterLost

EVERY_SECONDS = 2.0
ANSWER_SECONDS = 3.0
PATIENCE_SECONDS = 40.0
"""How long a head may be silent: it may be about to come back, and Ray itself gives up after 60 seconds."""
GRACE_SECONDS = 8.0
"""How long the sweep has to end by itself after that; it may wait for an answer that will never come."""


class Vigil:
    """Watches the head of a cluster while a context lasts.

    Args:
        address: Its host and port.
        lost: Ends the process where the sweep does not end by itself, told what was lost; None waits for it.
        patience_seconds: How long the head may be silent.
    """

    def __init__(
        self, address: str, lost: Callable[[ClusterLost], None] | None, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        host, _, port = address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._address, self._lost, self._patience = address, lost, patience_seconds
        self._over = threading.Event()
        self._error: ClusterLost | None = None
        self._thread = threading.Thread(target=self._watch, name="raysweep-vigil", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def raise_if_lost(self) -> None:
        """Raise a `ClusterLost` if the head has been silent for too long."""
        if self._error:
            raise self._error

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self._over.wait(EVERY_SECONDS):
            if self._answers():
                answered = time.monotonic()
            elif (silent := time.monotonic() - answered) > self._patience:
                self._error = ClusterLost(f"the Ray cluster at {self._address} is lost: silent for {silent:.0f} s")
                if not self._over.wait(GRACE_SECONDS) and self._lost:
                    self._lost(self._error)
                return

    def _answers(self) -> bool:
        try:
            socket.create_connection(self._place, timeout=ANSWER_SECONDS).close()
        except OSError:
            return False
        return True
