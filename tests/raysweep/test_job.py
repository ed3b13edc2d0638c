"""The same command as a job on a cluster that asks for a token."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from analysis.core.results import Results
from raysweep.k_phase_diagram import STUDY
from tests.clusters import Head, head_node
from tests.studies import run_serially, smallest_sweep

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with head_node() as started:
        yield started


def submitted(head: Head, *overrides: str) -> str:
    command = ["python", "-m", "raysweep.k_phase_diagram", *overrides]
    job = head.ray("job", "submit", "--address", head.jobs, "--working-dir", ".", "--", *command, cwd=ROOT)
    return job.stdout + job.stderr


def test_a_submitted_sweep_gives_the_rows_of_a_serial_one(head: Head, tmp_path: Path) -> None:
    log = submitted(head, "space=smoke", f"results={tmp_path / 'job'}")
    assert "succeeded" in log
    assert "6/6 trials" in log
    run_serially(STUDY, tmp_path / "serial", smallest_sweep(STUDY))
    rows = [Results(tmp_path / name).measurements("k_phase_diagram") for name in ("job", "serial")]
    tables = [table.sort_values(["trial_id", "step"], ignore_index=True) for table in rows]
    pd.testing.assert_frame_equal(*tables)
    trials = Results(tmp_path / "job").trials("k_phase_diagram")
    assert trials["source_hash"].nunique() == 1
    assert trials["ray_version"].notna().all()

    assert "6 trials, 6 finished, 0 to run" in submitted(head, "space=smoke", f"results={tmp_path / 'job'}")


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
