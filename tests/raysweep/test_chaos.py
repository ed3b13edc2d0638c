"""Drivers and actors are killed at random moments; at the end the tables are those of an undisturbed sweep."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from analysis.core.results import Results
from raysweep.service.provenance import SUBMITTED
from tests.chaos_driver import undisturbed
from tests.clusters import Head, head_node
from tests.conftest import Place
from tests.fault_proxy import fault_proxy
from tests.recipes import SECONDS, WALK

pytestmark = pytest.mark.slow

TRIALS, KILLS, TRIAL_SECONDS = 240, 24, 0.25
DRIVERS = 5  # of those killed, at most: each new one takes long to start
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
    drivers_killed = actors_killed = 0
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        command = [sys.executable, "-m", "tests.chaos_driver", root, str(TRIALS)]
        driver = subprocess.Popen(
            command, env={**head.environment, "RAY_ADDRESS": head.address}, stdout=subprocess.DEVNULL
        )
        dies_at = time.monotonic() + dice.uniform(15, 35)
        while driver.poll() is None and time.monotonic() < end:
            time.sleep(dice.uniform(0.2, 1.5))
            if drivers_killed + actors_killed >= KILLS:
                continue
            if time.monotonic() > dies_at and drivers_killed < DRIVERS:
                driver.kill()
                driver.wait()
                drivers_killed += 1
            elif running := actors(head):
                with contextlib.suppress(psutil.NoSuchProcess):
                    dice.choice(running).kill()
                    actors_killed += 1
        if driver.wait() == 0:
            return drivers_killed, actors_killed
    raise AssertionError(f"not finished within {LONGEST_SECONDS} s")


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
