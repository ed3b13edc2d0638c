"""The connection to Ray: to a running cluster, or to a local one that starts while the driver does other things."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

# Ray and Tune read these when they are imported; a user's own setting wins.
for _name, _value in {
    "RAY_AIR_NEW_OUTPUT": "0",  # with it, verbose=0 still prints a banner
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # silences a warning about actors without a GPU
    "RAY_DEDUP_LOGS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files a trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the store is consistent at any moment: nothing to wind down
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # the store is the only truth: Tune's own state is never restored
}.items():
    os.environ.setdefault(_name, _value)
try:
    Path.home()
except RuntimeError:  # in a container, say, whose user is a number: Ray and its workers want one to be imported
    os.environ["HOME"] = tempfile.gettempdir()

import ray
from ray._private import worker as ray_worker

from raysweep.service.driver.process_state import state_kept
from raysweep.service.errors import ClusterError
from raysweep.service.travel import staged

KNOCK_SECONDS = 10.0
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in the process of a submitted job."""
_ACTORS = "raysweep.service.worker.actors"
_PRELOADED = "RAY_preload_python_modules"
"""Read by Ray as it starts: what its workers import."""
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


class Connection:
    """A connection to a cluster, which a thread of its own makes, holds and ends.

    Making it takes seconds, most of them spent waiting: the driver goes on meanwhile. So does ending it. The processes
    of a local cluster die with the thread that started them, so that the thread stays until the end. A process that is
    connected already stays so, whatever the address. As a context, the process is connected inside.

    Args:
        address: Address of a running cluster; None means RAY_ADDRESS, or else a local Ray on the loopback interface.
        own: Folders and files that workers must find, where this process brings them: a job has them already, and
            workers of a local Ray look where this process does.
        recipe: Module that every worker of a local Ray imports before it is asked for anything; empty where only some
            of its workers, one a core, will be asked.
    """

    _ending: ClassVar[threading.Thread | None] = None
    """The thread of the connection that was told to end last: only when it has may another begin."""

    def __init__(self, address: str | None = None, own: Sequence[Path] = (), recipe: str = "") -> None:
        self._address = address or os.environ.get("RAY_ADDRESS")
        self._own, self._recipe = own, recipe
        self._made, self._over = threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    @property
    def stays(self) -> bool:
        """Whether the process was connected before, so that what Tune holds of the cluster is to be given back."""
        return self._thread is None

    @property
    def is_to_a_local_cluster(self) -> bool:
        """Whether the cluster is one that this process has started: its workers have their environment from here."""
        return self._thread is not None and not self._address

    @property
    def head(self) -> str:
        """Host and port at which the head of the cluster answers; the process is connected."""
        scheme, _, place = (self._address or "").rpartition("://")
        return place if scheme == "ray" else str(ray.get_runtime_context().gcs_address)

    def __enter__(self) -> Self:
        """Wait until the process is connected.

        Raises:
            ClusterError: There is no cluster at the address, or it refuses.
        """
        self.begin()
        try:
            if self._thread:
                self._made.wait()
        except BaseException:  # Ctrl-C
            self.end()
            raise
        if self._error:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def begin(self) -> None:
        """Begin to connect; return at once."""
        former = Connection._ending
        if self._thread or (ray.is_initialized() and not (former and former.is_alive())):
            return
        self._thread = threading.Thread(target=self._hold, args=(former,), name="raysweep-connection")
        self._thread.start()

    def end(self) -> None:
        """Begin to disconnect; return at once. A local cluster ends with its connection."""
        Connection._ending = self._thread or Connection._ending
        self._over.set()

    @classmethod
    def join(cls) -> None:
        """Return when the connection that was told to end last has ended."""
        if cls._ending:
            cls._ending.join()

    def _hold(self, former: threading.Thread | None) -> None:
        if former:
            former.join()
        with _quiet():
            self._connect_and_wait()

    def _connect_and_wait(self) -> None:
        try:
            if self._address:
                _connect(self._address, self._own)
            else:
                _start(self._recipe)
        except Exception as error:  # noqa: BLE001 - whoever waits for the connection raises it
            self._error = error
            self._made.set()
            return
        self._made.set()
        self._over.wait()
        gc.collect()  # what Tune leaves in cycles refers to the cluster: freed after its end, it ends the process
        ray.shutdown()


@contextlib.contextmanager
def connected(address: str | None, own: Sequence[Path] = ()) -> Iterator[Connection]:
    """Be connected to the cluster at `address`, or to a local one, and nothing of that is left of it in the process.

    Raises:
        ClusterError: There is no cluster at `address`, or it refuses.
    """
    with state_kept():
        try:
            with Connection(address, own) as connection:
                yield connection
        finally:
            Connection.join()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray from printing pages of its logs where a process is lost: the feed and the vigil say what was."""
    printing = ray_worker.print_to_stdstream
    ray_worker.print_to_stdstream = lambda *told, **how: None
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = printing


def _connect(address: str, own: Sequence[Path]) -> None:
    travelling = own if _JOB not in os.environ else ()
    with _told_in_one_line(address), staged(travelling) as folder:
        _knock(address)
        brought = {"runtime_env": {"working_dir": str(folder)}} if travelling else {}
        ray.init(address=address, **brought, **_QUIET)


def _start(recipe: str) -> None:
    given = os.environ.get(_PRELOADED)
    if recipe and given is None:
        os.environ[_PRELOADED] = f"{_ACTORS},{recipe}"
    try:
        with _told_in_one_line("this machine"):
            ray.init(address="local", include_dashboard=False, **loopback(), **_QUIET)
    finally:
        if given is None:
            os.environ.pop(_PRELOADED, None)


@contextlib.contextmanager
def _told_in_one_line(place: str) -> Iterator[None]:
    try:
        yield
    except ClusterError:
        raise
    except Exception as error:  # noqa: BLE001 - Ray raises bare ones as well
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ClusterError(f"no Ray cluster at {place}: {reason}") from None


def _knock(address: str) -> None:
    """Raise if nobody listens at an address, or whoever does wants another token; Ray itself tries on for minutes."""
    scheme, _, place = address.rpartition("://")
    host, separator, port = place.rpartition(":")
    if not (separator and port.isdigit()):
        return
    socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
    if not scheme:
        try:
            ray._raylet.GcsClient(address=place).get_all_node_info(timeout=KNOCK_SECONDS)
        except ray.exceptions.AuthenticationError:
            raise ClusterError(
                f"no Ray cluster at {address} for this token: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH or "
                "RAY_AUTH_TOKEN, must name the cluster's own"
            ) from None


def loopback() -> dict[str, str]:
    """Return the address of a local cluster's node: on the loopback interface, where all of 127.0.0.0/8 is.

    Ray replaces 127.0.0.1 by the machine's address in its network, which a laptop changes as it moves.
    """
    return {"_node_ip_address": "127.0.0.2"} if sys.platform == "linux" else {}
