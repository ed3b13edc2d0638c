"""The actors of a sweep: each runs one pack a Tune trial and is reused for the next.

Imported by `raysweep.service.tune` alone, after Ray's environment is set.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from ray import tune

from analysis.core.errors import StoreError
from cluster.drain import seconds_until_drained
from raysweep.service.execution import Worker
from raysweep.service.losses import LeavingNodeError
from raysweep.service.messages import Work

# A cloud gives half a minute of notice at the least; every question is a call to the head, from every actor.
SECONDS_BETWEEN_QUESTIONS = 3.0


class PackTrainable(tune.Trainable):
    """An actor that keeps its imports, its data and its store from one pack to the next.

    While its node is being drained it ends its trial with a checkpoint and refuses further packs: Tune then ends the
    actor, and what it was handed goes elsewhere.
    """

    def setup(self, config: dict[str, Any], work: Work | None = None) -> None:
        assert work is not None
        self._departure = Departure()
        self._worker = Worker(work, self._departure)

    def step(self) -> dict[str, Any]:
        try:
            reports, refusal = self._worker.run_pack(self.config["pack"].trials), None
        except StoreError as error:
            reports, refusal = [], str(error)
        return {"done": True, "reports": reports, "refusal": refusal}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._departure():
            raise LeavingNodeError
        self.config = new_config
        return True


class Departure:
    """Whether the node of this actor is being drained; asked between steps, it asks the head now and then."""

    def __init__(self) -> None:
        self._leaving = False
        self._asked = 0.0

    def __call__(self) -> bool:
        if not self._leaving and time.monotonic() - self._asked > SECONDS_BETWEEN_QUESTIONS:
            with contextlib.suppress(Exception):  # a head that is out of reach for a moment has its own errors for it
                self._leaving = seconds_until_drained() is not None
            self._asked = time.monotonic()
        return self._leaving
