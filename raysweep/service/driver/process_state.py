"""The state of the process that a run is called from, which may be a program or a notebook of somebody else's."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator

_VARIABLES = ("PYTHONBREAKPOINT", "TUNE_MAX_PENDING_TRIALS_PG")
_LOGGER = "ray.tune"


@contextlib.contextmanager
def state_kept() -> Iterator[None]:
    """Put back, at the end, what Ray and Tune change of a process and leave so.

    These are the handlers of signals (Tune takes SIGUSR1, Ray SIGTERM), what `breakpoint()` calls, the variables and
    the logger that a run sets for Tune, and whether Python dumps its stack when it crashes.
    """
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    variables = {name: os.environ.get(name) for name in _VARIABLES}
    level, dumps = logging.getLogger(_LOGGER).level, faulthandler.is_enabled()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) is not handler:
                    signal.signal(number, handler)
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        logging.getLogger(_LOGGER).setLevel(level)
        if not dumps:
            faulthandler.disable()


@contextlib.contextmanager
def no_environment_of_actors() -> Iterator[None]:
    """Keep Tune from giving its actors variables of their own, which workers of a local Ray have from this process.

    For an actor with variables Ray starts a process anew, though others have been started before and wait.
    """
    from ray.tune.execution import class_cache

    given = class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = {}, set()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = given


class Interrupted(Exception):
    """Ctrl-C, as an error that ends Tune from within: Tune then gives back what it holds of the cluster."""


@contextlib.contextmanager
def interruption_held_back(held_back: bool) -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the function that is yielded is called, which raises `Interrupted` then.

    A second Ctrl-C is not held back. Nothing is where `held_back` is false, or outside the main thread.
    """
    pending = False

    def note(number: int, frame: object) -> None:
        nonlocal pending
        if pending:
            raise KeyboardInterrupt
        pending = True

    def raise_if_interrupted() -> None:
        if pending:
            raise Interrupted

    if not held_back or threading.current_thread() is not threading.main_thread():
        yield raise_if_interrupted
        return
    former = signal.signal(signal.SIGINT, note)
    try:
        yield raise_if_interrupted
    except Interrupted:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, former)
