"""The command as a user meets it: what it prints, what it leaves, and how it ends."""

from __future__ import annotations

import dataclasses
import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.study_command import main
from raysweep.service.study import Recipe
from trials.core.context import TrialContext
from trials.core.rows import Row
from trials.k_phase_diagram.knobs import KPhaseKnobs

SERIAL = ("executor=serial", "space=smoke")
ENDINGS = (signal.SIGINT, signal.SIGTERM)
LONGEST_SECONDS = 300


def command(*overrides: str) -> list[str]:
    return [sys.executable, "-m", "raysweep.k_phase_diagram", *overrides]


def test_a_sweep_leaves_tables_and_figures_and_a_second_run_only_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(STUDY, [*SERIAL, f"results={tmp_path}"]) == 0
    first = capsys.readouterr().out
    assert "6 trials, 0 finished, 6 to run" in first
    assert "6/6 trials" in first
    trials = pd.read_parquet(tmp_path / "k_phase_diagram" / "trials")
    assert sorted(trials["feature_update_interval"]) == [1, 1, 5, 5, 20, 20]
    (figure,) = (tmp_path / "k_phase_diagram" / "figures").glob("smoke-????????.png")
    assert figure.read_bytes()[:4] == b"\x89PNG"
    assert b"<svg" in figure.with_suffix(".svg").read_bytes()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}

    assert main(STUDY, [*SERIAL, f"results={tmp_path}"]) == 0
    second = capsys.readouterr().out
    assert "6 trials, 6 finished, 0 to run; nothing to run" in second
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == written


def test_the_table_is_told_by_a_knob_that_varies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    varied = ["axes.feature_update_interval=5", "axes.learning_rate=[0.01,0.02,0.05]", "axes.seed=range(2)"]
    assert main(STUDY, [*SERIAL, *varied, f"results={tmp_path}"]) == 0
    told = capsys.readouterr().out
    assert "┃ learning_rate ┃" in told
    assert [line.split()[1] for line in told.splitlines() if re.match(r"│ +0\.0\d+ ", line)] == ["0.01", "0.02", "0.05"]


def test_a_wider_sweep_runs_only_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(STUDY, [*SERIAL, f"results={tmp_path}"])
    capsys.readouterr()
    wider = [*SERIAL, f"results={tmp_path}", "axes.feature_update_interval=[1,2,5,inf]", "seed=range(3)"]
    assert main(STUDY, [*wider, "--dry-run"]) == 0
    assert "12 trials, 6 finished, 6 to run" in capsys.readouterr().out
    assert main(STUDY, wider) == 0
    assert len(Results(tmp_path).trials("k_phase_diagram")) == 12


def test_a_dry_run_shows_the_plan_and_leaves_no_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--dry-run", "plan=true"):
        assert main(STUDY, ["space=full", flag, f"results={tmp_path}"]) == 0
        printed = capsys.readouterr().out
        assert "81 trials, 0 finished, 81 to run" in printed
        assert "missing" in printed
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_plan_tells_of_combinations_that_are_one_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At K = 1 no step is damped, and a round that does not end before T ends at T."""
    axes = ["axes.feature_update_interval=[1,10,30,inf]", "axes.damping=[0,0.1,1]", "axes.seed=0"]
    assert main(STUDY, [*SERIAL, *axes, "--dry-run", f"results={tmp_path}"]) == 0
    told = capsys.readouterr().out
    assert "7 trials, 0 finished, 7 to run" in told
    assert "5 of 12 combinations are the same training as another" in told

    assert main(STUDY, [*SERIAL, "--dry-run", f"results={tmp_path}"]) == 0
    told = capsys.readouterr().out
    assert "combinations" not in told
    assert "do not read" not in told


def test_the_plan_tells_of_knobs_that_no_trial_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axes = ["axes.momentum=[0.5,0.9]", "axes.width=[4,8]", "--dry-run", f"results={tmp_path}"]
    for chosen, unread in (([], ["momentum"]), (["network=cnn_s", "optimizer=momentum"], ["width"])):
        assert main(STUDY, [*SERIAL, *axes, *chosen]) == 0
        told = [line for line in capsys.readouterr().out.splitlines() if "do not read" in line]
        assert told == [f"{name} has several values among trials that do not read it" for name in unread]


def test_help_explains_the_study(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(STUDY, ["--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert STUDY.question in printed
    assert re.search(r"feature_update_interval +steps between re-linearisations", printed)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["widht=3"], "unknown setting 'widht'; did you mean 'width'?"),
        (["feature_update_interval=-3"], "feature_update_interval must be at least 1, got -3"),
        (["feature_update_interval=0"], "feature_update_interval must be at least 1, got 0"),
        (["space=nope"], "space=nope is unknown"),
        (["data=cifar10", "data.path=/nonexistent"], "/nonexistent"),
        (["data.train_size=100000"], "data_train_size=100000 exceeds the 1000 train images of digits"),
        (["round_method=function_space", "optimizer=adam"], "needs optimizer to be one of sgd, momentum"),
        (["network=resnet18_bn"], "with batch normalisation the Jacobian of a sample depends on its batch"),
        (
            ["round_method=function_space", "data=sparse_parity", "data.train_size=0"],
            "needs a kernel of 16000 samples x 2 classes squared, 3.8 GiB; at most 1 GiB is allowed",
        ),
        (["freeze_depth=3"], "freeze_depth=3 is not one of 0 = nothing, 1 = up to hidden1, 2 = up to hidden2; readout"),
        (["freeze_depth=6", "network=resnet18"], "5 = up to stage4; readout always trains"),
        (["damping=-1"], "damping must be at least 0, got -1"),
        (["rows.ratio=0.0001"], "ratio=0.0001 keeps 0 of 500 samples"),
        (["rows.ratio=0.5", "rows.augmentation=fixed_aug", "rows.transform=flip"], "mirrors images, which makes other"),
        (
            ["rows.ratio=0.5", "rows.augmentation=fixed_aug", "data=sparse_parity"],
            "needs images, and sparse_parity has",
        ),
        (["results=/proc/nowhere"], "/proc/nowhere"),
        (["results=ftp://somewhere"], "s3://bucket/prefix"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(STUDY, [f"results={tmp_path}", *overrides]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()


def broken(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
    yield from itertools.islice(STUDY.trial(knobs, context), 2)
    raise RuntimeError("broken on purpose")


def test_a_failing_trial_is_printed_with_what_reproduces_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = dataclasses.replace(STUDY, recipe=Recipe(run=broken))
    assert main(study, [*SERIAL, f"results={tmp_path}", "width=9"]) == 1
    printed = capsys.readouterr().out
    assert "6 trials failed with:" in printed
    assert printed.count("RuntimeError: broken on purpose") == 1
    (line,) = [line for line in printed.splitlines() if line.startswith("reproduce: ")]
    again = tmp_path / "again"
    assert main(study, [*line.split("raysweep.k_phase_diagram ")[1].split(), f"results={again}"]) == 1
    (first,) = Results(again).trials("k_phase_diagram").to_dict("records")
    assert first["outcome"] == "failed"
    assert first["trial_id"] in set(Results(tmp_path).trials("k_phase_diagram")["trial_id"])

    assert main(STUDY, [*SERIAL, f"results={tmp_path}", "width=9"]) == 0, "failed trials run again, and may finish"
    assert set(Results(tmp_path).trials("k_phase_diagram")["outcome"]) == {"finished"}


@dataclasses.dataclass(frozen=True)
class Interrupted:
    """How a command ended that was sent a signal, and the trials that were in the store by then."""

    code: int
    errors: str
    finished: set[str]


@dataclasses.dataclass(frozen=True)
class Story:
    """A sweep that is interrupted by one signal, goes on, is interrupted by another, and ends.

    Attributes:
        folder: Where the user stands, who calls its results "here".
        interrupted: The first and the second run.
        done: The last.
    """

    folder: Path
    interrupted: list[Interrupted]
    done: subprocess.CompletedProcess[str]

    @property
    def results(self) -> Results:
        return Results(self.folder / "here")


def interrupted(ending: signal.Signals, overrides: Sequence[str], folder: Path) -> Interrupted:
    """Run a command, and send it a signal as soon as a trial has finished that had not before."""
    known = Results(folder / "here").finished("k_phase_diagram")
    process = subprocess.Popen(
        command(*overrides),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    )
    end = time.monotonic() + LONGEST_SECONDS
    while process.poll() is None and Results(folder / "here").finished("k_phase_diagram") == known:
        assert time.monotonic() < end, "no trial has finished"
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()
    process.send_signal(ending)
    _, errors = process.communicate(timeout=LONGEST_SECONDS)
    return Interrupted(process.returncode, errors, Results(folder / "here").finished("k_phase_diagram"))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("user")
    # By this method trials train one by one: those that train together would finish together.
    intervals = "axes.feature_update_interval=[1,2,5]"
    overrides = ("space=smoke", "steps=10000", "round_method=jvp", intervals, "results=here")
    broken_off = [interrupted(ending, overrides, folder) for ending in ENDINGS]
    done = subprocess.run(
        command(*overrides), cwd=folder, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Story(folder, broken_off, done)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("run", range(len(ENDINGS)), ids=[ending.name for ending in ENDINGS])
def test_an_interrupted_sweep_is_consistent(story: Story, run: int) -> None:
    ended = story.interrupted[run]
    assert ended.code == 130
    assert "interrupted" in ended.errors
    before = story.interrupted[run - 1].finished if run else set()
    assert before < ended.finished


@pytest.mark.slow
@pytest.mark.alone
def test_an_interrupted_sweep_goes_on(story: Story) -> None:
    first, second = (ended.finished for ended in story.interrupted)
    assert 0 < len(first) < len(second) < 6
    assert f"6 trials, {len(second)} finished" in story.done.stdout
    assert len(story.results.trials("k_phase_diagram")) == 6
    assert not story.results.check("k_phase_diagram")


@pytest.mark.slow
@pytest.mark.alone
def test_a_relative_results_folder_is_the_user_s_not_the_actors(story: Story) -> None:
    assert story.done.stderr == ""
    assert [place.name for place in story.folder.iterdir()] == ["here"]
    assert len(story.results.trials("k_phase_diagram")) == 6
    assert list((story.folder / "here" / "k_phase_diagram" / "figures").glob("smoke-????????.png"))
