"""Drivers and actors are killed at random moments; at the end the tables are those of an undisturbed sweep."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from analysis.store.results import Results
from raysweep.service.provenance import SUBMITTED
from tests.chaos_driver import undisturbed
from tests.clusters import Head, head_node
from tests.conftest import Place
from tests.fault_proxy import fault_proxy
from tests.recipes import SECONDS, WALK

pytestmark = [pytest.mark.slow, pytest.mark.alone]

TRIALS, TRIAL_SECONDS = 240, 0.25
DRIVERS, ACTORS = 4, 18  # that are killed; each new driver takes long to start
TIMES = ["started_at", "finished_at", "wall_seconds", "gpu_seconds", "peak_memory_bytes"]
LONGEST_SECONDS = 900


def tables(root: str | Path) -> list[pd.DataFrame]:
    results = Results(root)
    trials = results.trials(WALK.name).drop(columns=TIMES).sort_values("trial_id", ignore_index=True)
    return [trials, results.measurements(WALK.name).sort_values(["trial_id", "step"], ignore_index=True)]


def assert_undisturbed(root: str, place_of_other: Path) -> None:
    undisturbed(str(place_of_other), TRIALS)
    for disturbed, whole in zip(tables(root), tables(place_of_other), strict=True):
        pd.testing.assert_frame_equal(disturbed, whole)
    parts = Results(root)
    parts.compact(WALK.name)
    assert parts.check(WALK.name) == []


def actors(head: Head) -> list[psutil.Process]:
    """Return the processes of the cluster that run packs."""
    found = []
    for process in psutil.Process(head.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith(("ray::PackTrainable", "ray::ResourceTrainable.train")):
                found.append(process)
    return found


def survived(head: Head, root: str, dice: random.Random) -> tuple[int, int]:
    """Kill drivers and actors until a driver ends with nothing missing; return how many of each died."""
    victims = dice.sample(["driver"] * DRIVERS + ["actor"] * ACTORS, DRIVERS + ACTORS)
    killed: Counter[str] = Counter()
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        with sweeping(head, root) as driver:
            while lives_on(driver, dice.uniform(0.2, 1.5)) and time.monotonic() < end:
                if not victims or not (running := actors(head)):
                    continue
                if victims[-1] == "driver":
                    killed[victims.pop()] += 1
                    break
                with contextlib.suppress(psutil.NoSuchProcess):
                    dice.choice(running).kill()
                    killed[victims.pop()] += 1
            if driver.poll() == 0:
                return killed["driver"], killed["actor"]
    raise AssertionError(f"not finished within {LONGEST_SECONDS} s")


def lives_on(process: subprocess.Popen[bytes], seconds: float) -> bool:
    time.sleep(seconds)
    return process.poll() is None


@contextlib.contextmanager
def sweeping(head: Head, root: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a driver, wait until it has heard of a trial, for before it has little to lose, and kill it in the end."""
    command = [sys.executable, "-m", "tests.chaos_driver", root, str(TRIALS)]
    environment = {**head.environment, "RAY_ADDRESS": head.address}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        try:
            yield driver
        finally:
            driver.kill()


@pytest.fixture(autouse=True)
def one_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let drivers that start minutes apart name the same commit."""
    monkeypatch.setenv(SUBMITTED, json.dumps({"git_commit": "0" * 40, "git_dirty": False}))


@pytest.fixture
def cluster() -> Iterator[Head]:
    with head_node(environment={SECONDS: str(TRIAL_SECONDS)}) as head:
        yield head


def test_nothing_is_lost_on_a_local_disk(cluster: Head, tmp_path: Path) -> None:
    root = str(tmp_path / "disturbed")
    drivers_killed, actors_killed = survived(cluster, root, random.Random(1))
    print(f"killed {drivers_killed} drivers and {actors_killed} actors")
    assert drivers_killed + actors_killed >= 20
    assert min(drivers_killed, actors_killed) >= 3
    assert_undisturbed(root, tmp_path / "undisturbed")


def test_nothing_is_lost_on_a_faulty_s3(moto_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert moto_place.server is not None
    dice = random.Random(2)
    faults = ["conflict", "error", "slow down", "reset", "lost", "truncated", *[None] * 60]
    with fault_proxy(moto_place.server.endpoint) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        proxy.fault = lambda method, number, attempt: dice.choice(faults if method == "PUT" else faults[1:])
        with head_node(environment={SECONDS: str(TRIAL_SECONDS)}) as head:
            drivers_killed, actors_killed = survived(head, moto_place.root, random.Random(3))
        proxy.fault = lambda method, number, attempt: None
        print(f"killed {drivers_killed} drivers and {actors_killed} actors; {len(proxy.requests)} requests")
        assert drivers_killed + actors_killed >= 20
        assert min(drivers_killed, actors_killed) >= 3
        assert_undisturbed(moto_place.root, tmp_path / "undisturbed")
