"""The Tune executor: packs of trials on reused Ray actors, on this machine or any cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

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

import ray
from ray import tune

from raysweep.service.driver import capacity
from raysweep.service.driver.feed import PackFeed, PackReports
from raysweep.service.driver.measuring import resolved_resources
from raysweep.service.driver.metrics import SweepMetrics
from raysweep.service.driver.packs import MOST_TRIALS, PackQueue
from raysweep.service.driver.process_state import interruption_held_back, state_kept
from raysweep.service.driver.serial import Listener
from raysweep.service.driver.stopping import scheduler_of
from raysweep.service.driver.supply import Supply
from raysweep.service.errors import ClusterError
from raysweep.service.messages import TrialReport, Work
from raysweep.service.travel import staged
from raysweep.service.worker.actors import PackTrainable

KNOCK_SECONDS = 10.0
_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in the process of a submitted job."""


class TuneExecutor:
    """Runs packs of trials as Tune trials of one reused class trainable.

    Args:
        address: Address of a running cluster; None means RAY_ADDRESS, or else a local Ray on the loopback interface.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS")

    def run(self, work: Work, supply: Supply, listener: Listener) -> None:
        """Run every trial of the supply once; return when all are durable, whatever their outcome.

        Raises:
            ClusterError: The cluster cannot be reached, or no node can hold one actor.
            StoreError: The store refuses what actors write, again and again.
        """
        stays = ray.is_initialized()  # a Ray of the calling program's: whatever Tune holds of it is to be given back
        with state_kept(), connected(self._address, work.own), interruption_held_back(stays) as raise_if_interrupted:
            work = replace(work, resources=resolved_resources(work, supply.ahead()))
            held = capacity.slots(work.resources)
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(capacity.pending(held))
            most = 1 if work.stopping else MOST_TRIALS
            queue, metrics = PackQueue(supply, max(held, 1), work.together, most), SweepMetrics(work)

            def listen(reports: Sequence[TrialReport], running: int) -> None:
                metrics.update(reports, running, queue.waiting)
                listener(reports, running)
                raise_if_interrupted()

            feed = PackFeed(queue, work, listen)
            trainable = tune.with_parameters(PackTrainable, work=work)
            bundle = tune.PlacementGroupFactory([{"CPU": work.resources.cpus, "GPU": work.resources.gpu_fraction}])
            with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
                tune.Tuner(
                    tune.with_resources(trainable, bundle),
                    tune_config=tune.TuneConfig(
                        num_samples=-1,
                        search_alg=feed,
                        scheduler=scheduler_of(work.stopping, work.objective),
                        reuse_actors=True,
                    ),
                    run_config=tune.RunConfig(
                        name=work.schema.study,
                        storage_path=scratch,
                        verbose=0,
                        callbacks=[PackReports(feed)],
                        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    ),
                ).fit()
            feed.raise_refusal()


@contextlib.contextmanager
def connected(address: str | None, own: Sequence[Path] = ()) -> Iterator[None]:
    """Connect to the cluster at `address`, or start a local one; a process that is connected stays so.

    Args:
        address: Where the cluster is, None for a local one.
        own: Folders and files that its workers must find, where this process brings them: a job has them already, and
            workers of a local Ray look where this process does.

    Raises:
        ClusterError: There is no cluster at `address`, or it refuses.
    """
    if ray.is_initialized():
        yield
        return
    place = {"address": address} if address else {"address": "local", "include_dashboard": False, **_loopback()}
    on_termination = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        travelling = own if address and _JOB not in os.environ else ()
        with staged(travelling) as folder:
            brought = {"runtime_env": {"working_dir": str(folder)}} if travelling else {}
            ray.init(**place, **brought, log_to_driver=False, logging_level="ERROR")
    except ClusterError:
        raise
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ClusterError(f"no Ray cluster at {address or 'this machine'}: {reason}") from None
    # Tune logs the traceback of an actor that died; the feed says what becomes of its trials.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)  # Ray puts its own in place, which aborts the process
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise if nobody listens at an address, or whoever does wants another token; Ray itself tries on for minutes."""
    scheme, _, place = (address or "").rpartition("://")
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


def _loopback() -> dict[str, str]:
    """Return the address of a local cluster's node: on the loopback interface, where all of 127.0.0.0/8 is.

    Ray replaces 127.0.0.1 by the machine's address in its network, which a laptop changes as it moves.
    """
    return {"_node_ip_address": "127.0.0.2"} if sys.platform == "linux" else {}
