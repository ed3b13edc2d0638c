"""The Tune executor: packs of trials on reused Ray actors, on this machine or any cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace

from ray import tune

from raysweep.service.driver import capacity
from raysweep.service.driver.cluster import Connection, connected  # sets the environment that Ray reads
from raysweep.service.driver.feed import PackFeed, PackReports
from raysweep.service.driver.measuring import resolved_resources
from raysweep.service.driver.metrics import SweepMetrics
from raysweep.service.driver.packs import MOST_TRIALS, PackQueue
from raysweep.service.driver.process_state import interruption_held_back, no_environment_of_actors
from raysweep.service.driver.serial import Listener
from raysweep.service.driver.stopping import scheduler_of
from raysweep.service.driver.supply import Supply
from raysweep.service.driver.vigil import Vigil
from raysweep.service.errors import ClusterLost
from raysweep.service.messages import TrialReport, Work
from raysweep.service.worker.actors import PackTrainable


class TuneExecutor:
    """Runs packs of trials as Tune trials of one reused class trainable.

    Args:
        connection: The connection to the cluster, which whoever has begun it ends; None connects for each run.
        lost: Ends the process where the cluster is lost and Ray waits for its answer; told what was lost.
    """

    def __init__(self, connection: Connection | None = None, lost: Callable[[ClusterLost], None] | None = None) -> None:
        self._connection = connection
        self._lost = lost

    def run(self, work: Work, supply: Supply, listener: Listener) -> None:
        """Run every trial of the supply once; return when all are durable, whatever their outcome.

        Raises:
            ClusterError: The cluster cannot be reached, or no node can hold one actor.
            ClusterLost: It has gone.
            StoreError: The store refuses what actors write, again and again.
        """
        with (
            self._connection or connected(None, work.own) as connection,
            interruption_held_back(connection.stays) as raise_if_interrupted,
            Vigil(connection.head, self._lost) as vigil,
            no_environment_of_actors() if connection.is_to_a_local_cluster else contextlib.nullcontext(),
        ):
            # Tune logs the traceback of an actor that died; the feed says what becomes of its trials.
            logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
            work = replace(work, resources=resolved_resources(work, supply.ahead()))
            held = capacity.slots(work.resources)
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(capacity.pending(held))
            most = 1 if work.stopping else MOST_TRIALS
            queue, metrics = PackQueue(supply, max(held, 1), work.together, most), SweepMetrics(work)

            def listen(reports: Sequence[TrialReport], running: int) -> None:
                metrics.update(reports, running, queue.waiting)
                listener(reports, running)
                raise_if_interrupted()
                vigil.raise_if_lost()

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
