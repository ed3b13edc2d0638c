"""Losses: why an actor was lost with the trials it held, and how often a trial may be lost that way."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raysweep.service.messages import LeavingNodeError


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One way in which an actor is lost.

    Attributes:
        name: What it is called in the log.
        attempts: How many such losses end a trial; each kind has its own count.
        suspicious: Whether a trial may be to blame, so that the trials of a lost pack run alone from then on.
        error: What the row of a trial says that is given up.
    """

    name: str
    attempts: float
    suspicious: bool
    error: str = ""


PREEMPTED = Loss(name="preempted", attempts=math.inf, suspicious=False)
"""The node was drained: the cloud takes it away, or the autoscaler. It costs nothing, however often it happens."""

NODE_LOST = Loss(
    name="node lost",
    attempts=8,
    suspicious=False,
    error="the node that ran this trial was lost each time: a network that breaks, or a trial that brings nodes down",
)

OUT_OF_MEMORY = Loss(
    name="out of memory",
    attempts=2,
    suspicious=True,
    error="the process that ran this trial was ended each time because its node ran out of memory; "
    "put fewer actors on a node with a larger resources.cpus",
)

DIED = Loss(
    name="died",
    attempts=3,
    suspicious=True,
    error="the process that ran this trial died each time, without a traceback: "
    "out of memory or a crash in native code",
)

# Ray has a class of its own for some of these; for others the text is all there is.
_SIGNS = {
    NODE_LOST: ("actorunavailableerror", "is unavailable", "node has died", "node died", "nodediederror"),
    OUT_OF_MEMORY: ("running low on memory", "outofmemoryerror"),
}


def loss_of(error: BaseException | None, text: str) -> Loss:
    """Return what an actor's error says of its end.

    Args:
        error: The error, where it could be kept.
        text: What it says.
    """
    if getattr(error, "preempted", False) or isinstance(getattr(error, "cause", error), LeavingNodeError):
        return PREEMPTED
    said = f"{type(error).__name__} {text}".lower()
    return next((loss for loss, signs in _SIGNS.items() if any(sign in said for sign in signs)), DIED)
