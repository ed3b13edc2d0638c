"""Nodes that are lost, drained or shared: each time the tables are those of an undisturbed sweep."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest

from analysis.store.results import Results
from raysweep.service.provenance import SUBMITTED
from tests import chaos_driver, hikes, recipes
from tests.clusters import Head, Node, free_ports, head_node, processes, raylet, worker_nodes
from tests.hikes import HIKE, broken_off, recomputed_share, steps_taken
from tests.recipes import WALK

pytestmark = [pytest.mark.slow, pytest.mark.alone]

TRIALS, TRIAL_SECONDS, STEPS = 12, 4.0, 40
LONGEST_SECONDS = 400
ONE_PROVENANCE = {SUBMITTED: json.dumps({"git_commit": "0" * 40, "git_dirty": False})}
TIMES = ["started_at", "finished_at", "wall_seconds", "gpu_seconds", "peak_memory_bytes"]


@dataclass(frozen=True)
class Cluster:
    """A head that trains nothing itself, and nodes that come and go.

    Attributes:
        head: The head.
        start_node: Starts a node of one core.
        metrics_port: Where Prometheus would ask.
        diary: What the hikes of a test have noted.
        nodes: Those that were added; some may have ended.
    """

    head: Head
    start_node: Callable[[], Node]
    metrics_port: int
    diary: Path
    nodes: list[Node]

    def with_nodes(self, count: int) -> list[Node]:
        """Return the nodes that are up, at least so many."""
        self.nodes[:] = [node for node in self.nodes if raylet(node)]
        while len(self.nodes) < count:
            self.add_node()
        until_up(self.head, len(self.nodes))
        return list(self.nodes)

    def add_node(self) -> None:
        self.nodes.append(self.start_node())


@pytest.fixture(scope="module")
def one_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    diary, (port,) = tmp_path_factory.mktemp("hikes") / "diary", free_ports(1)
    variables = {recipes.SECONDS: "0.1", hikes.SECONDS: str(TRIAL_SECONDS), hikes.DIARY: str(diary)}
    with (
        head_node(cpus=0, environment={**variables, **ONE_PROVENANCE}, metrics_port=port) as head,
        worker_nodes(head) as start_node,
    ):
        yield Cluster(head, start_node, port, diary, [])


@pytest.fixture
def cluster(one_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    for name, value in ONE_PROVENANCE.items():  # for the sweep in this process, which is not disturbed
        monkeypatch.setenv(name, value)
    one_cluster.diary.unlink(missing_ok=True)
    return one_cluster


@dataclass(frozen=True)
class Driver:
    """The driver of a sweep, and what it has said."""

    process: subprocess.Popen[bytes]
    log: Path

    def at_work(self) -> bool:
        return self.process.poll() is None

    def finish(self) -> None:
        """Wait until the sweep has ended, with every trial in the store."""
        assert self.process.wait(LONGEST_SECONDS) == 0, self.log.read_text(encoding="utf-8")


@contextlib.contextmanager
def driver(head: Head, root: Path, trials: int, *arguments: str) -> Iterator[Driver]:
    command = [sys.executable, "-m", "tests.chaos_driver", str(root), str(trials), *arguments]
    with tempfile.NamedTemporaryFile(prefix="driver-", suffix=".log") as log:
        environment = {**head.environment, "RAY_ADDRESS": head.address}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield Driver(process, Path(log.name))
        finally:
            process.kill()
            process.wait()


def tables(root: str | Path, study: str) -> list[pd.DataFrame]:
    results = Results(root)
    trials = results.trials(study).drop(columns=TIMES).sort_values("trial_id", ignore_index=True)
    return [trials, results.measurements(study).sort_values(["trial_id", "step"], ignore_index=True)]


def assert_undisturbed(root: Path, other: Path, study: str, trials: int) -> None:
    chaos_driver.undisturbed(str(other), trials, study)
    for disturbed, whole in zip(tables(root, study), tables(other, study), strict=True):
        pd.testing.assert_frame_equal(disturbed, whole)
    assert Results(root).check(study) == []


def until(
    condition: Callable[[], bool], what: str, sweeping: Driver | None = None, seconds: float = LONGEST_SECONDS
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain until {what}"
        assert sweeping is None or sweeping.at_work(), f"it ended before {what}:\n{sweeping.log.read_text()}"
        time.sleep(0.1)


def until_up(head: Head, cpus: int) -> None:
    """Wait until the nodes of the cluster have so many cores."""
    asking = (
        "import ray, sys, time; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')\n"
        "while ray.cluster_resources().get('CPU', 0) < int(sys.argv[2]): time.sleep(0.2)"
    )
    command = [sys.executable, "-c", asking, head.address, str(cpus)]
    subprocess.run(command, env=dict(head.environment), check=True, timeout=LONGEST_SECONDS)


def at_work(nodes: list[Node], diary: Path) -> list[Node]:
    """Return the nodes on which a trial is midway: steps are behind it, and steps before it."""
    last = {taken.process: taken.step for taken in steps_taken(diary)}
    midway = {process for process, step in last.items() if 5 <= step < STEPS - 10}
    return [node for node in nodes if midway & {process.pid for process in processes(node)}]


def working(nodes: list[Node], diary: Path, sweeping: Driver) -> list[tuple[Node, psutil.Process]]:
    """Wait for nodes on which a trial of a sweep is midway, and return them with their raylets."""
    found: list[tuple[Node, psutil.Process]] = []

    def any_found() -> bool:
        pairs = [(node, raylet(node)) for node in at_work(nodes, diary)]
        found[:] = [(node, process) for node, process in pairs if process is not None]
        return bool(found)

    until(any_found, "a trial is midway", sweeping)
    return found


def test_nothing_is_lost_when_raylets_are_killed(cluster: Cluster, tmp_path: Path) -> None:
    dice, root, trials, kills = random.Random(4), tmp_path / "disturbed", 20, 3
    nodes = cluster.with_nodes(kills + 2)
    with driver(cluster.head, root, trials, "--study", HIKE.name) as sweeping:
        for kill in range(1, kills + 1):
            marked = kill * trials * STEPS // (kills + 2)
            until(lambda: len(steps_taken(cluster.diary)) > marked, "the hikes have come so far", sweeping)  # noqa: B023
            lost, victim = dice.choice(working(nodes, cluster.diary, sweeping))
            victim.kill()
            nodes.remove(lost)
        sweeping.finish()
    share = recomputed_share(cluster.diary, trials, STEPS)
    print(f"{kills} raylets killed; {share:.1%} of the trials' seconds computed twice")
    assert broken_off(cluster.diary), "no trial was broken off"
    assert share < 0.15
    assert_undisturbed(root, tmp_path / "undisturbed", HIKE.name, trials)


def test_a_drained_node_hands_its_trials_over(cluster: Cluster, tmp_path: Path) -> None:
    root, head, diary = tmp_path / "disturbed", cluster.head, cluster.diary
    leaving = cluster.with_nodes(2)[0]
    with driver(head, root, TRIALS, "--study", HIKE.name) as sweeping:
        third = TRIALS * STEPS // 3
        until(lambda: len(steps_taken(diary)) > third, "the hikes have come a third of the way", sweeping)
        until(lambda: at_work([leaving], diary) == [leaving], "a trial is midway on the node that is to leave")
        drain = "import sys; from cluster import drain; drain.drain_this_machine(*sys.argv[1:3], 30, sys.argv[3])"
        command = [sys.executable, "-c", drain, head.address, "spot notice", leaving.ip]
        subprocess.run(command, env=dict(head.environment), check=True, timeout=60)
        cluster.add_node()
        until(lambda: raylet(leaving) is None, "the drained node has ended, as its actors have left it", seconds=60)
        sweeping.finish()
    share = recomputed_share(diary, TRIALS, STEPS)
    print(f"a node drained in the midst of a trial; {share:.1%} of the trials' seconds computed twice")
    assert share < 0.05
    assert_undisturbed(root, tmp_path / "undisturbed", HIKE.name, TRIALS)


def test_a_job_stopped_and_submitted_again_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    root, head, diary = tmp_path / "disturbed", cluster.head, cluster.diary
    command = ["--", sys.executable, "-m", "tests.chaos_driver", str(root), str(TRIALS), "--study", HIKE.name]
    cluster.with_nodes(2)
    for attempt in range(1, 4):
        name = f"hike-{attempt}"
        submit = ["job", "submit", "--address", head.jobs, "--no-wait", "--submission-id", name]
        assert head.ray(*submit, *command, cwd=tmp_path).returncode == 0
        if attempt < 3:
            marked = attempt * TRIALS * STEPS // 3
            until(lambda: len(steps_taken(diary)) > marked, "the hikes have come so far")  # noqa: B023
            assert head.ray("job", "stop", "--address", head.jobs, name, cwd=tmp_path).returncode == 0
    until(lambda: len(Results(root).finished(HIKE.name)) == TRIALS, "every hike is in the store")
    follow = head.ray("job", "logs", "--follow", "--address", head.jobs, name, cwd=tmp_path)
    assert "succeeded" in follow.stdout + follow.stderr
    share = recomputed_share(diary, TRIALS, STEPS)
    print(f"a job stopped twice; {share:.1%} of the trials' seconds computed twice")
    assert share < 0.15
    assert_undisturbed(root, tmp_path / "undisturbed", HIKE.name, TRIALS)


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.2:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_sweeps_on_one_cluster_do_not_mix(cluster: Cluster, tmp_path: Path) -> None:
    """Two sweeps of one study that overlap, and one of another study, by three drivers into one store."""
    root, head, port = tmp_path / "shared", cluster.head, cluster.metrics_port
    cluster.with_nodes(3)
    with (
        driver(head, root, 60) as first,
        driver(head, root, 60, "--first", "30") as second,
        driver(head, root, 4, "--study", HIKE.name) as other,
    ):
        for sweep in (first, second, other):
            sweep.finish()
    until(lambda: "ray_raysweep_trials_total" in scraped(port), "the metrics are out", seconds=60)
    said = [line for line in scraped(port).splitlines() if line.startswith("ray_raysweep_trials_total{")]
    assert any('study="walk"' in line and 'outcome="finished"' in line for line in said)
    assert_undisturbed(root, tmp_path / "alone", WALK.name, 90)
    assert_undisturbed(root, tmp_path / "alone", HIKE.name, 4)
