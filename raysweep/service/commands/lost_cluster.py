"""The end of a run whose cluster is lost: what was lost, what is stored, and the command that goes on."""

from __future__ import annotations

import os
import shlex
import sys
from typing import NoReturn

from analysis.store.errors import StoreError
from analysis.store.results import Results
from raysweep.service.commands.configuration import Settings
from raysweep.service.errors import ClusterLost
from raysweep.service.study import Study

LOST = 4


def leave(study: Study, settings: Settings, error: ClusterLost) -> NoReturn:
    """Say so in one sentence and end the process at once: Ray would wait for answers, and then abort it."""
    print(f"\rerror: {farewell(study, settings, error)}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(LOST)


def farewell(study: Study, settings: Settings, error: ClusterLost) -> str:
    """Return the sentence."""
    try:
        stored = f"{len(Results(settings.results).finished(study.name))} trials of {study.name} are"
    except StoreError:  # it may be lost as well
        stored = "what has finished is"
    command = shlex.join([*study.command, *settings.overrides])
    return f"{error}; {stored} stored in {settings.results}, and the same command goes on: {command}"
