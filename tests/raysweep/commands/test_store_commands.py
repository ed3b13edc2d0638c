"""What `raysweep ls`, `watch` and `show` say, and that it is true."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY as DIAGRAM
from raysweep.service.commands import records
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.results_command import main
from raysweep.service.commands.store.show import sparkline
from raysweep.service.commands.study_command import main as run
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial

SMALL = ("space=smoke", "steps=5", "feature_update_interval=5", "executor=serial")


def just_now(name: str, outcome: str = "finished", *, seconds_ago: float) -> dict[str, object]:
    """Return a row of trials that took ten seconds."""
    ended = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return {**trial(name, outcome), "started_at": ended - timedelta(seconds=10), "finished_at": ended}


def test_ls_tells_rate_time_left_space_and_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two processes, each a trial of ten seconds after another: 12 trials a minute, 20 to come."""
    results, names = Results(tmp_path), [f"a{number}" for number in range(8)]
    ended = [just_now(name, seconds_ago=5 + 10 * (number // 2)) for number, name in enumerate(names)]
    results.write(SCHEMA, ended, {name: rows() for name in names})
    command = "python -m raysweep.walk space=laptop 'seed=range(28)'"
    plan = [*names, *(f"b{number}" for number in range(20))]
    results.record_sweep(STUDY, "sweep", {"space": "laptop", "command": command}, plan)
    assert main(["ls", "--results", str(tmp_path)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.rstrip().endswith(command)
    assert re.search(r" 20 +\d{4}-\S+ \S+ +0\.2/s +100 s|2 min +laptop ", line)


def test_an_idle_sweep_has_no_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a1")], {"a1": rows()})
    results.record_sweep(STUDY, "sweep", {"space": "laptop"}, ["a1", "a2"])
    assert main(["--results", str(tmp_path), "ls"]) == 0
    assert re.search(r" 1 +2026-01-01 12:00:00 +- +- +laptop", capsys.readouterr().out)


def test_watch_ends_when_nothing_is_missing_and_says_whether_something_failed(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a1")], {"a1": rows()})
    results.record_sweep(STUDY, "sweep", {}, ["a1"])
    assert main(["watch", "--every", "0.01", "--results", str(tmp_path)]) == 0
    results.write(SCHEMA, [trial("b1", "failed")], {})
    results.record_sweep(STUDY, "another", {}, ["b1"])
    assert main(["watch", "--every", "0.01", "--results", str(tmp_path)]) == 1


def test_watch_waits_for_the_plan_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with an older sweep that is whole, and a job that has been submitted and has not planned yet."""
    results = Results(tmp_path)
    settings = read_settings(DIAGRAM, [*SMALL, f"results={tmp_path}"])
    assert run(DIAGRAM, [*settings.overrides, "seed=0"]) == 0
    monkeypatch.setenv(records.ANNOUNCED, records.announce(DIAGRAM, settings, "python -m it", results))
    ended: list[int] = []
    watch = ["watch", "--every", "0.05", "--results", str(tmp_path)]
    watching = threading.Thread(target=lambda: ended.append(main(watch)))
    watching.start()
    watching.join(timeout=1.0)
    assert watching.is_alive()
    assert run(DIAGRAM, [*settings.overrides, "seed=1"]) == 0
    watching.join(timeout=60.0)
    assert ended == [0]


def test_watch_of_an_empty_store_waits_and_ctrl_c_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def interrupted(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    assert main(["--results", str(tmp_path), "watch"]) == 130
    assert len(waits) == 3


@pytest.mark.parametrize("place", ["plain", "it's [here] seed=1"])
def test_the_command_that_show_prints_repeats_the_trial(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / place
    given = [*SMALL, "seed=3", "width=7", "learning_rate=0.07", "optimizer=momentum", f'results="{root}"']
    assert run(DIAGRAM, given) == 0
    results = Results(root)
    ((trial_id, _),) = results.outcomes(DIAGRAM.name).items()
    before, began = results.measurements(DIAGRAM.name), results.trials(DIAGRAM.name)["started_at"][0]
    capsys.readouterr()
    assert main(["show", trial_id[:9], "--results", str(root)]) == 0
    told = capsys.readouterr().out
    assert re.search(r"final_test_acc_lin +0\.\d+ +[▁▂▃▄▅▆▇█·]+\n", told)
    command = shlex.split(told.splitlines()[-1])
    assert command[:3] == ["python", "-m", "raysweep.k_phase_diagram"]
    assert command[-1] == "--rerun"
    assert run(DIAGRAM, command[3:]) == 0
    assert "1 to run" in capsys.readouterr().out
    assert results.outcomes(DIAGRAM.name).keys() == {trial_id}
    assert results.trials(DIAGRAM.name)["started_at"][0] > began
    pd.testing.assert_frame_equal(results.measurements(DIAGRAM.name), before)


def test_the_data_of_a_trial_are_those_of_the_last_sweep_that_planned_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a1")], {"a1": rows()})
    old = {"started_at": "2026-01-01", "command": "python -m raysweep.walk 'data.path=/an old place'"}
    results.record_sweep(STUDY, "old", old, ["a1"])
    assert main(["--results", str(tmp_path), "show", "a1"]) == 0
    assert "'/an old place'" in shlex.split(capsys.readouterr().out.splitlines()[-1])[4]
    results.record_sweep(STUDY, "new", {"started_at": "2026-01-02", "data_path": "s3://images/1e3"}, ["a1"])
    assert main(["--results", str(tmp_path), "show", "a1"]) == 0
    assert "data.path='s3://images/1e3'" in shlex.split(capsys.readouterr().out.splitlines()[-1])


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, None, float("nan"), 1.0]) == "▁··▁"
    assert sparkline([-1e308, 1e308]) == "▁█"
    assert sparkline([1.0]) == sparkline([None, None]) == ""
    long = sparkline(range(1000))
    assert len(long) == 48
    assert (long[0], long[-1]) == ("▁", "█")


def test_the_root_may_stand_before_and_behind_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--results", str(tmp_path), "ls"], ["ls", "--results", str(tmp_path)]):
        assert main(arguments) == 0
        assert str(tmp_path) in capsys.readouterr().out


def test_closed_streams_are_no_traceback(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a1")], {"a1": rows()})
    results.record_sweep(STUDY, "sweep", {}, ["a1"])
    program = f"{shlex.quote(sys.executable)} -m raysweep --results {shlex.quote(str(tmp_path))}"
    for words in (
        "ls >&-",
        f"rm {STUDY} sweep <&-",
        f"rm {STUDY} sweep </dev/null",
        "query --csv 'from range(99999)' | head -0",
    ):
        ended = subprocess.run(["bash", "-c", f"{program} {words}"], capture_output=True, text=True, check=False)
        assert "Traceback" not in ended.stderr
        assert ended.stderr.count("\n") <= 1
    assert results.outcomes(STUDY).keys() == {"a1"}


def test_every_is_a_time() -> None:
    for text in ("0", "-1", "nan", "never"):
        with pytest.raises(SystemExit) as left:
            main(["watch", "--every", text])
        assert left.value.code == 2
