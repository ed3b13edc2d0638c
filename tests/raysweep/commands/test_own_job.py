"""A study and a network of a user's own on a cluster whose workers know neither's folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.service.commands.new_command import written
from tests.clusters import Head, head_node

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with head_node() as started:
        yield started


def run(head: Head, folder: Path, *command: str) -> str:
    environment = {**head.environment, "RAY_API_SERVER_ADDRESS": head.jobs, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_they_travel_with_a_job_and_with_a_driver(head: Head, tmp_path: Path) -> None:
    folder, results = tmp_path / "mine", tmp_path / "results"
    folder.mkdir()
    written("my_travels", folder)
    (folder / "spaces").mkdir()
    (folder / "spaces" / "short.yaml").write_text("defaults: [smoke, _self_]\nsteps: 20\n", encoding="utf-8")
    told = run(head, folder, "raysweep", "submit", "my_travels", "space=spaces/short.yaml", f"results={results}")
    assert "4/4 trials" in told
    run(head, folder, "my_travels", "space=smoke", "steps=30", f"results={results}", f"address={head.address}")
    assert sorted(Results(results).trials("my_travels")["steps"]) == [20] * 4 + [30] * 4
    (folder / "my_layers.py").write_text(
        "from torch import nn\ndef two(shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 8), nn.Linear(8, classes))\n",
        encoding="utf-8",
    )
    network = ("network=my_layers:two", "steps=20", "seed=0", f"results={results}")
    run(head, folder, "raysweep.k_phase_diagram", "space=smoke", *network, f"address={head.address}")
    trials = Results(results).trials("k_phase_diagram")
    assert set(trials["outcome"]) == {"finished"}
