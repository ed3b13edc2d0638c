"""The same command as a job on a cluster that asks for a token."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service import provenance
from tests import readme
from tests.clusters import Head, head_node
from tests.studies import every_study, run_serially, smallest_sweep

ROOT = Path(__file__).resolve().parents[3]
LONGEST_SECONDS = 240
MENU = ", ".join(study.name for study in every_study())

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with head_node() as started:
        yield started


def submitted(head: Head, *overrides: str) -> str:
    command = ["python", "-m", "raysweep.k_phase_diagram", *overrides]
    job = head.ray("job", "submit", "--address", head.jobs, "--working-dir", ".", "--", *command, cwd=ROOT)
    return job.stdout + job.stderr


def raysweep(head: Head, *arguments: str, timeout: float = LONGEST_SECONDS) -> subprocess.CompletedProcess[str]:
    environment = {**head.environment, "RAY_API_SERVER_ADDRESS": head.jobs}
    command = [sys.executable, "-m", "raysweep", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@dataclass(frozen=True)
class Sweep:
    """A sweep that `raysweep submit` began, and that a job of Ray's own command widens.

    Attributes:
        root: Its results.
        here: The provenance of the source that was submitted.
        submitted: What `raysweep submit` said.
        first: The trials then.
        widened: The log of the job that asked for a third seed.
    """

    root: Path
    here: provenance.Provenance
    submitted: subprocess.CompletedProcess[str]
    first: pd.DataFrame
    widened: str


@pytest.fixture(scope="module")
def sweep(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    root, here = tmp_path_factory.mktemp("job"), provenance.captured()
    done = raysweep(head, "submit", "k_phase_diagram", "space=smoke", f"results={root}")
    assert done.returncode == 0, done.stdout + done.stderr
    first = Results(root).trials("k_phase_diagram")
    return Sweep(root, here, done, first, submitted(head, "space=smoke", "seed=range(3)", f"results={root}"))


def test_submit_carries_the_provenance_and_follows(sweep: Sweep) -> None:
    assert "uploads" in sweep.submitted.stdout
    assert "6/6 trials" in sweep.submitted.stdout
    assert set(sweep.first["source_hash"]) == {sweep.here.source_hash}
    assert sweep.first["git_commit"].tolist() == [sweep.here.git_commit] * 6


def test_the_store_tells_how_far_a_job_is(head: Head, sweep: Sweep) -> None:
    status = raysweep(head, "--results", str(sweep.root), "status")
    assert "k_phase_diagram" in status.stdout
    assert raysweep(head, "--results", str(sweep.root), "watch", "--every", "1").returncode == 0


def test_a_submitted_sweep_gives_the_rows_of_a_serial_one(sweep: Sweep, tmp_path: Path) -> None:
    assert "succeeded" in sweep.widened
    assert "9 trials, 6 finished, 3 to run" in sweep.widened
    assert "3/3 trials" in sweep.widened
    run_serially(STUDY, tmp_path, smallest_sweep(STUDY, "seed=range(3)"))
    rows = [Results(root).measurements("k_phase_diagram") for root in (sweep.root, tmp_path)]
    tables = [table.sort_values(["trial_id", "step"], ignore_index=True) for table in rows]
    # To rounding: which trials train together depends on the packs, and with it the order of float32 arithmetic.
    pd.testing.assert_frame_equal(*tables, rtol=1e-4, atol=1e-6)
    trials = Results(sweep.root).trials("k_phase_diagram")
    assert trials["source_hash"].nunique() == 1
    assert trials["ray_version"].notna().all()


def test_bad_input_fails_the_job_with_one_line(head: Head, tmp_path: Path) -> None:
    log = submitted(head, "space=nope", f"results={tmp_path}")
    assert "failed" in log
    assert "error: space=nope is unknown" in log


def test_without_the_token_nothing_is_submitted(head: Head, tmp_path: Path) -> None:
    wrong = {**head.environment, "RAY_AUTH_TOKEN_PATH": "", "RAY_AUTH_TOKEN": "0" * 64}
    stranger = dataclasses.replace(head, environment=wrong)
    log = submitted(stranger, "space=smoke", f"results={tmp_path}")
    assert "submitted successfully" not in log
    assert not list(tmp_path.iterdir())


def test_a_stopped_job_goes_on_when_it_is_submitted_again(head: Head, tmp_path: Path) -> None:
    # The first trial ends at once; the long ones, one by one, are still under way when the job is told to stop.
    axes = ("axes.steps=[20,20000]", "axes.feature_update_interval=[1]", "axes.seed=range(3)", "round_method=jvp")
    settings = ("k_phase_diagram", "space=smoke", *axes, f"results={tmp_path}")
    job = raysweep(head, "submit", "--no-wait", *settings).stdout.split("raysweep stop ")[1].strip()
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end and not Results(tmp_path).finished("k_phase_diagram"):
        time.sleep(0.2)
    assert raysweep(head, "stop", job).returncode == 0
    assert raysweep(head, "follow", job).returncode == 130
    before = len(Results(tmp_path).finished("k_phase_diagram"))
    assert 0 < before < 6
    again = raysweep(head, "submit", *settings)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(Results(tmp_path).trials("k_phase_diagram")) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("submit", "k_phase"), f"k_phase is no study; there are {MENU}"),
        (("submit", "k_phase_diagram", "widht=3"), "unknown setting 'widht'; did you mean 'width'?"),
        (("submit", "--address", "http://127.0.0.1:9", "k_phase_diagram"), "no job server at http://127.0.0.1:9"),
    ],
)
def test_a_bad_submission_is_one_line_and_exit_code_2(head: Head, arguments: tuple[str, ...], message: str) -> None:
    done = raysweep(head, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_token_is_said_so(head: Head) -> None:
    wrong = {**head.environment, "RAY_AUTH_TOKEN_PATH": "", "RAY_AUTH_TOKEN": "0" * 64}
    done = raysweep(dataclasses.replace(head, environment=wrong), "submit", "k_phase_diagram")
    assert done.returncode == 2
    assert "ray get-auth-token" in done.stderr


def test_the_commands_for_a_cluster_in_readme_run(head: Head, tmp_path: Path) -> None:
    told = [command for command in readme.commands() if re.match(r"ray.* --.*s3://", command)]
    assert [command.split()[0] for command in told] == ["raysweep", "raysweep", "ray"]
    here = {"http://HEAD:8265": head.jobs, "s3://bucket/prefix": str(tmp_path), "space=full": "space=smoke"}
    here |= {"resources.gpus=0.25": "seed=0", "job submit --": f"job submit --address {head.jobs} --"}
    environment = {**head.environment, "PATH": f"{Path(sys.executable).parent}:{head.environment['PATH']}"}
    for command in told:
        for written, meant in here.items():
            command = command.replace(written, meant)
        ran = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, timeout=LONGEST_SECONDS, check=False)
        assert ran.returncode == 0
    assert len(Results(tmp_path).trials("k_phase_diagram")) == 3
