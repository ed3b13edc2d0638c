"""Stored trials that other code or other data made: what is said of them, and what is done."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from analysis.core.figures import Drawing
from analysis.core.versions import mixture, told_on
from analysis.store.results import Results
from raysweep.service.commands import results_command
from raysweep.service.commands.store.listing import _ls
from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from tests.recipes import MEASUREMENTS
from tests.trials.core.data.idx_files import mnist
from trials.core.data.knobs import DataKnobs
from trials.core.knobs import TrialKnobs, knob

RECIPE = '''
"""A recipe of a user's own."""

def run(knobs, context):
    from reused_recipe import slopes  # where it is needed

    labels = context.arrays(knobs.data.name).train_labels
    if (slopes.FAILING or {}).get(knobs.seed):
        raise RuntimeError("the walk was broken off")
    yield {"step": 0, "height": float(slopes.SLOPE * (knobs.seed + labels.sum()))}
'''
SLOPES = '"""How steep it is."""\nSLOPE = {slope}\nFAILING = {failing}\n'


_DATA = DataKnobs(name="mnist")


@dataclass(frozen=True, kw_only=True)
class WalkOnData(TrialKnobs):
    """A walk whose height is told by data."""

    data: DataKnobs = _DATA
    width: int = knob("how wide it is", 1, at_least=1)


STUDY = Study(
    name="reused_walk",
    question="Does it walk on?",
    knobs=WalkOnData,
    measurements=MEASUREMENTS,
    recipe="reused_recipe.recipe",
    figures="tests.recipes",
    across="seed",
    headline="final_height",
)


@dataclass
class Workplace:
    """A store, data and a recipe that may be changed."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def results(self) -> Results:
        return Results(self.folder / "results")

    def code(self, slope: float, comment: str = "", failing: object = None) -> None:
        package = self.folder / "src" / "reused_recipe"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "recipe.py").write_text(RECIPE + comment, encoding="utf-8")
        (package / "slopes.py").write_text(SLOPES.format(slope=slope, failing=failing), encoding="utf-8")
        for name in [name for name in sys.modules if name.partition(".")[0] == "reused_recipe"]:
            del sys.modules[name]

    def data(self, seed: int) -> None:
        mnist(self.folder / "data", seed)

    def run(self, *arguments: str, study: Study = STUDY) -> tuple[int, str]:
        """Run the study; return the exit code and what it printed."""
        place = (f"results={self.folder / 'results'}", f"data.path={self.folder / 'data'}", "executor=serial")
        code = main(study, ["space=none", "seed=0,1,2", *place, *arguments])
        printed = self.capsys.readouterr()
        return code, printed.out + printed.err

    def heights(self) -> list[float]:
        rows = self.results.trials(STUDY.name)
        bare = pd.read_parquet(self.folder / "results" / STUDY.name / "trials", partitioning=None)
        assert sorted(bare["final_height"]) == sorted(rows["final_height"])
        return list(rows.sort_values("seed")["final_height"] / rows["final_height"].min())


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Workplace]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a file may change within a second
    place = Workplace(tmp_path, capsys)
    place.code(1.0)
    place.data(0)
    assert place.run()[0] == 0
    yield place
    place.code(1.0)


def listed(results: Results) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=10_000)
    _ls(results, console, None)  # type: ignore[arg-type]
    return console.file.getvalue()  # type: ignore[attr-defined]


def slopes(results: Results) -> list[float]:
    """Return how steep each walk was, for known sums of labels."""
    rows = results.trials(STUDY.name).sort_values("seed")
    return list(rows["final_height"].round(6))


def test_comments_and_formatting_are_no_change(workplace: Workplace) -> None:
    workplace.code(1.0, comment='\n# a comment\n\n"""and a text"""\n')
    code, printed = workplace.run()
    assert code == 0
    assert "3 finished, 0 to run" in printed
    assert "differ from now" not in printed


def test_changed_code_is_told_of_and_gone_on_with_until_it_is_rerun(workplace: Workplace) -> None:
    before = slopes(workplace.results)
    workplace.code(2.0)
    code, printed = workplace.run("--dry-run")
    assert "3 by other code (changed: reused_recipe.slopes)" in printed
    code, printed = workplace.run()
    assert code == 0
    assert printed.startswith("warning: 3 of 3 stored trials differ from now")
    assert slopes(workplace.results) == before
    code, printed = workplace.run("--rerun")
    assert code == 0
    assert "0 finished, 3 to run" in printed
    assert slopes(workplace.results) == [2 * height for height in before]
    workplace.heights()
    older = workplace.folder / "results" / STUDY.name / "superseded"
    (kept,) = older.glob("*.trials.parquet")
    assert sorted(pd.read_parquet(kept)["final_height"]) == sorted(before)
    assert "differ from now" not in workplace.run()[1]
    assert results_command.main(["--results", str(workplace.folder / "results"), "compact"]) == 0
    assert ", superseded runs dropped" in workplace.capsys.readouterr().out
    assert not list(older.iterdir())


def test_reuse_is_remembered_for_that_change_alone(workplace: Workplace) -> None:
    workplace.code(2.0)
    assert "they are gone on with" in workplace.run("--reuse")[1]
    assert "differ from now" not in workplace.run()[1]
    (sweep,) = workplace.results.sweeps(STUDY.name)
    assert len(sweep.document["reused"]) == 1
    workplace.code(3.0)
    assert "3 by other code" in workplace.run()[1]


def test_changed_data_end_a_job_and_are_rerun_or_gone_on_with(workplace: Workplace) -> None:
    before = slopes(workplace.results)
    workplace.data(1)
    code, printed = workplace.run("--dry-run")
    assert (code, "3 from other data (mnist)" in printed) == (0, True)
    code, printed = workplace.run()
    assert code == 2
    assert printed.splitlines()[-1].startswith("error: 3 of 3 stored trials differ from now: 3 from other data")
    assert slopes(workplace.results) == before
    assert workplace.run("reuse=always")[0] == 0
    assert workplace.run()[0] == 0
    workplace.data(2)
    code, printed = workplace.run("reuse=never", "seed=0,1,2,3")
    assert (code, "0 finished, 4 to run" in printed) == (0, True)
    assert slopes(workplace.results)[:3] != before
    hashes = workplace.results.trials(STUDY.name)["data_hash"]
    assert hashes.nunique() == 1


def test_data_that_cannot_be_read_are_not_compared_and_that_is_said(workplace: Workplace) -> None:
    (workplace.folder / "data").rename(workplace.folder / "elsewhere")
    code, printed = workplace.run()
    assert (code, "mnist cannot be read here, so stored trials were not compared with it" in printed) == (0, True)
    assert workplace.run("seed=0,1,2,3")[0] == 2


def test_a_rerun_that_is_broken_off_goes_on_with_or_without_being_asked_again(workplace: Workplace) -> None:
    """Nothing differs, so the rerun is remembered by the store alone; the same command comes to an end."""
    assert workplace.run("--rerun", "budget.trials=1")[0] == 3
    assert "2 trials are still to be computed anew" in workplace.run("--dry-run")[1]
    assert listed(workplace.results).count("  2  ") >= 1
    code, printed = workplace.run("--rerun", "budget.trials=1")
    assert (code, "1 finished, 2 to run" in printed) == (3, True)
    code, printed = workplace.run()
    assert (code, "2 finished, 1 to run" in printed) == (0, True)
    assert list(workplace.results.trials(STUDY.name)["rerun"]) == [1, 1, 1]
    assert workplace.results.reruns(STUDY.name).asked() == {}
    assert "3 finished, 0 to run" in workplace.run()[1]


def test_a_part_that_is_rerun_is_told_of_where_versions_meet(workplace: Workplace) -> None:
    workplace.code(2.0)
    code, printed = workplace.run("--rerun", "seed=1")
    assert (code, "1 trials, 0 finished, 1 to run" in printed) == (0, True)
    printed = workplace.run()[1]
    assert "2 by other code" in printed
    assert "this table mixes 2 versions of the code (2 and 1 trials)" in printed
    figure = Figure()
    figure.subplots()
    told_on([Drawing(figure, pd.DataFrame())], mixture(workplace.results, STUDY.name))
    assert figure.get_suptitle() == "mixes 2 versions of the code (2 and 1 trials)"
    assert "mixes 2 versions of the code (2 and 1 trials)" in listed(workplace.results)
    workplace.run("--rerun")
    assert " mixes " not in listed(workplace.results)


def test_a_rerun_that_fails_hides_nothing_and_is_tried_again(workplace: Workplace) -> None:
    before = slopes(workplace.results)
    workplace.code(2.0, failing={1: True})
    assert workplace.run("--rerun")[0] == 1
    assert slopes(workplace.results) == [2 * before[0], before[1], 2 * before[2]]
    workplace.code(2.0)
    code, printed = workplace.run()
    assert (code, "2 finished, 1 to run" in printed) == (0, True)
    assert slopes(workplace.results) == [2 * height for height in before]


def test_trials_of_older_stores_are_reused_and_told_of_once(workplace: Workplace) -> None:
    for table in (workplace.folder / "results" / STUDY.name / "trials").iterdir():
        pq.write_table(pq.read_table(table, partitioning=None).drop_columns(["code_hash", "rerun"]), table)
    workplace.code(2.0)
    assert "3 stored trials are older than the hash of their code; they are reused" in workplace.run()[1]
    assert "older than" not in workplace.run()[1]
    assert "0 finished, 3 to run" in workplace.run("--rerun")[1]


def test_a_higher_revision_works_as_before(workplace: Workplace) -> None:
    workplace.code(2.0)
    code, printed = workplace.run(study=replace(STUDY, revision=2))
    assert (code, "0 finished, 3 to run" in printed) == (0, True)
    assert "differ from now" not in printed


@pytest.mark.parametrize(("answer", "code", "height"), [("r", 0, 2.0), ("u", 0, 1.0), ("", 2, 1.0), ("q", 2, 1.0)])
def test_on_a_terminal_it_asks(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, height: float
) -> None:
    before = slopes(workplace.results)
    workplace.code(2.0)
    monkeypatch.setattr("raysweep.service.commands.reuse._Telling.is_answered", True)
    monkeypatch.setattr("builtins.input", _answering(answer))
    assert workplace.run()[0] == code
    assert slopes(workplace.results) == [height * each for each in before]
    monkeypatch.setattr("raysweep.service.commands.reuse._Telling.is_answered", False)
    assert ("differ from now" in workplace.run()[1]) == (code == 2)


def _answering(answer: str) -> Callable[..., str]:
    def said(prompt: str = "") -> str:
        if not answer:
            raise EOFError
        return answer

    return said


def test_what_contradicts_itself_is_refused(workplace: Workplace) -> None:
    code, printed = workplace.run("--rerun", "--reuse")
    assert (code, "give one of the two" in printed) == (2, True)
    code, printed = workplace.run("reuse=sometimes")
    assert (code, "reuse='sometimes' is not one of ask, always, never" in printed) == (2, True)


def test_what_a_hash_stands_for_is_in_the_store(workplace: Workplace) -> None:
    (code_hash,) = set(workplace.results.trials(STUDY.name)["code_hash"])
    modules = json.loads((workplace.folder / "results" / STUDY.name / "code" / f"{code_hash}.json").read_bytes())
    assert {"reused_recipe.recipe", "reused_recipe.slopes", "trials.core.data.mnist"} <= modules.keys()
    assert not any(name.partition(".")[0] in ("raysweep", "numpy", "torch") for name in modules)


SEARCH = (
    "+search.sampler=random",
    "+search.trials=3",
    "+search.objective={final_height: maximize}",
    "+search.over={width: {low: 1, high: 1000}}",
    "seed=0",
)
LINE = (
    "+boundary.response=final_height",
    "+boundary.level=0.5",
    "+boundary.over={width: [1, 2, 3, 4, 5], data_train_offset: [0, 1, 2]}",
    "seed=0",
)


@pytest.mark.parametrize("planner", [SEARCH, LINE], ids=["search", "boundary"])
def test_planners_that_learn_are_not_told_of_what_is_computed_anew(
    workplace: Workplace, planner: tuple[str, ...]
) -> None:
    """These come first, and a rerun that is broken off goes on."""
    code, printed = workplace.run(*planner)
    assert code == 0
    before = workplace.results.trials(STUDY.name).set_index("trial_id")["final_height"]
    workplace.code(2.0)
    code, printed = workplace.run(*planner)
    assert (code, " by other code (changed: reused_recipe.slopes)" in printed) == (0, True)
    assert workplace.run(*planner, "--rerun", "budget.trials=1")[0] == 3
    assert workplace.run(*planner)[0] == 0
    after = workplace.results.trials(STUDY.name).set_index("trial_id")
    assert set(after.index) == set(before.index)
    again = after[after["rerun"] == 1]
    assert len(again) >= 3
    assert (again["final_height"] == 2 * before[again.index]).all()
    assert "differ from now" not in workplace.run(*planner)[1]
    assert workplace.results.reruns(STUDY.name).asked() == {}
