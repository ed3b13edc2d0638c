"""The door from Python: the words and errors of the command line, and nothing of the process is left changed."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.version import getbase

import raysweep
from raysweep.k_phase_diagram import STUDY
from raysweep.service.command import main as former_main
from raysweep.service.commands.configuration import Settings, read_settings
from raysweep.service.commands.settings.keywords import overrides_of
from raysweep.service.commands.study_command import main
from raysweep.service.study import Recipe, Study
from trials.core.context import TrialContext
from trials.core.rows import Row
from trials.k_phase_diagram.knobs import KPhaseKnobs

SMALL: dict[str, Any] = {"space": "smoke", "steps": 5, "executor": "serial"}
HEAVY = ("torch", "ray", "pandas", "pyarrow", "numpy", "hydra", "matplotlib", "rich")


def settings(**keywords: Any) -> Settings:
    return read_settings(STUDY, overrides_of(STUDY, keywords))


def test_importing_is_light_and_everything_promised_is_there() -> None:
    promised = "{*raysweep.__all__} <= {*dir(raysweep)}"
    code = f"import sys, raysweep; print(sorted({{*{HEAVY}}} & {{*sys.modules}}), {promised})"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[] True\n"
    assert raysweep.main is main is former_main
    assert raysweep.Study is Study
    with pytest.raises(AttributeError, match="no attribute 'swep'"):
        raysweep.swep  # noqa: B018


def test_values_of_python_say_what_the_command_line_says() -> None:
    axes = settings(
        axes={"feature_update_interval": [1, 8, math.inf], "seed": range(3)}, learning_rate=0.5
    ).planner.grid
    assert dict(axes.axes) == {"feature_update_interval": (1, 8, math.inf), "seed": (0, 1, 2)}
    assert {knobs.learning_rate for knobs in axes} == {0.5}
    several = settings(
        learning_rate=np.array([0.1, 0.2]), width=(8, 16), depth="1,2", seed="range(2)"
    ).planner.grid.axes
    assert {name: several[name] for name in ("learning_rate", "width", "depth", "seed")} == {
        "learning_rate": (0.1, 0.2),
        "width": (8, 16),
        "depth": (1, 2),
        "seed": (0, 1),
    }
    grouped = settings(space="none", data={"name": "cifar10", "path": Path("images")}, data_train_size=np.int64(32))
    assert (grouped.data_sets, grouped.data_path) == (("cifar10",), "images")
    assert [knobs.data.train_size for knobs in grouped.planner.grid] == [32]
    shared = settings(resources={"gpus": 0.25, "cpus": 2}, budget={"hours": 1.5})
    assert (shared.resources.gpus, shared.resources.cpus, shared.budget.hours) == (0.25, 2, 1.5)
    assert len(settings(space="smoke", seed=range(10**8), most_trials=10**9).planner) == 3 * 10**8, (
        "long ranges are never made"
    )
    search = settings(space="search", search={"trials": 7, "over": {"learning_rate": {"low": 0.01}}}).planner.settings
    assert (search.trials, search.over["learning_rate"].low) == (7, 0.01)


@pytest.mark.parametrize(
    "text",
    ["null", "1e3", "2024_01_15", "TRUE", "a b", "é%#", "a=b,c", "[x]{y}", "it's", "a\\", "a\\'", "${x}", "\\${x}"],
)
def test_text_stays_as_it_is_whatever_it_looks_like(text: str) -> None:
    assert settings(figure=text).figure == text
    assert settings(figure=Path(text)).figure == str(Path(text))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"widht": 3}, "unknown setting 'widht'; did you mean 'width'?"),
        ({"width": -3}, "width must be at least 1, got -3"),
        ({"space": "nope"}, "space=nope is unknown; "),
        ({"axes": {"seed": []}}, "axis seed has no values"),
        ({"learning_rate": object()}, "is no number, truth value, text, path, list or dict"),
        ({"data": {"name": "cifar10", "path": "/nonexistent"}}, "no CIFAR-10 at '/nonexistent'"),
        ({"results": "ftp://somewhere"}, "s3://bucket/prefix"),
        ({"plan": True}, "plan is no setting of a call"),
    ],
)
def test_what_is_not_allowed_is_one_line_of_an_exception(
    keywords: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(raysweep.UsageError) as refused:
        raysweep.sweep("k_phase_diagram", progress=False, **{**SMALL, "results": tmp_path, **keywords})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    if not {"plan", "learning_rate"} & keywords.keys():  # of these the command line has no such words
        assert main(STUDY, [*overrides_of(STUDY, {**SMALL, "results": tmp_path, **keywords})]) == 2
        assert capsys.readouterr().err == f"error: {refused.value}\n"


def test_a_study_that_is_none_is_refused() -> None:
    with pytest.raises(raysweep.UsageError, match=r"k_phase is no study; there are .*k_phase_diagram"):
        raysweep.plan("k_phase")


def test_a_sweep_returns_tables_and_figures_and_the_plan_says_so_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {**SMALL, "results": tmp_path, "axes": {"feature_update_interval": [1, 2], "seed": range(2)}}
    plan = raysweep.plan("k_phase_diagram", **asked)
    assert (len(plan), plan.counts) == (4, {"missing": 4})
    assert plan.trials[["outcome", "feature_update_interval"]].value_counts().to_dict() == {
        ("missing", 1): 2,
        ("missing", 2): 2,
    }
    assert not list(tmp_path.rglob("*.parquet"))
    capsys.readouterr()
    assert main(STUDY, [*overrides_of(STUDY, asked), "--dry-run"]) == 0
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        line.rstrip() for line in repr(plan).splitlines()
    ], "the plan in the words of the command line"

    study = dataclasses.replace(STUDY, figures="tests.raysweep.commands.two_figures")
    run = raysweep.sweep(study, progress=False, figure=tmp_path / "mine" / "k.png", **asked)
    assert capsys.readouterr().out == ""
    assert "4 trials, 0 finished, 4 to run" in run.printed
    assert "4/4 trials" in run.printed
    assert (tmp_path / "mine" / "k.png").read_bytes()[:4] == b"\x89PNG"
    assert run.counts == {"finished": 4, "diverged": 0, "failed": 0, "missing": 0}
    assert set(run.trials["trial_id"]) == set(plan.trials["trial_id"])
    assert set(run.measurements["trial_id"]) == set(run.trials["trial_id"])
    assert run.measurements["feature_update_interval"].isin([1, 2]).all()
    assert not len(run.failures)
    means = run.trials.groupby("feature_update_interval")["final_test_acc_lin"].mean()
    assert run.best["final_test_acc_lin"].tolist() == [means.max()] * int((means == means.max()).sum())
    assert run.best["seeds"].tolist() == [2] * len(run.best)
    assert run.figures[0] is run.figures["main"]
    assert run.figures._repr_html_().count("data:image/png;base64,") == len(run.figures) == 2
    assert run.figures["blank"]._repr_png_()[:4] == b"\x89PNG"
    with pytest.raises(KeyError, match="there are main, blank"):
        run.figures["nope"]
    for told in (repr(run), run._repr_html_()):
        assert "4 trials, 4 finished, 0 diverged, 0 failed, 0 missing" in told
        assert ".figures" in told
    assert raysweep.plan(STUDY, **asked).counts == {"finished": 4}

    one = raysweep.sweep(STUDY, **{**asked, "axes": {"feature_update_interval": [1], "seed": [0]}})
    assert "1 trials, 1 finished, 0 to run" in capsys.readouterr().out
    assert len(one.trials) == len(one.results.sql("from k_phase_diagram.trials")) == 1, "of this sweep alone"
    (record, *_) = raysweep.open(tmp_path).sweeps("k_phase_diagram")
    assert record.document["command"].startswith("python -m raysweep.k_phase_diagram ")
    assert "steps=5 executor=serial" in record.document["command"]


@pytest.fixture
def unlike_any_other(tmp_path: Path) -> dict[str, Any]:
    return {**SMALL, "results": tmp_path, "axes": {"feature_update_interval": [1, 2], "seed": range(3)}}


def stopping_after(trials: int, error: BaseException | None) -> Study:
    """Return the study with a recipe that ends a few trials as usual and then raises, or sends itself Ctrl-C."""
    count = itertools.count()

    def run(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
        if next(count) >= trials:
            if error is None:
                signal.raise_signal(signal.SIGINT)
            else:
                raise error
        yield from STUDY.trial(knobs, context)

    return dataclasses.replace(STUDY, recipe=Recipe(run=run))


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """Hear Ctrl-C as in a terminal: a shell starts what it leaves in the background deaf to it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("heard_signals")
def test_ctrl_c_returns_what_there_is(unlike_any_other: dict[str, Any]) -> None:
    none = raysweep.sweep(stopping_after(0, None), progress=False, **unlike_any_other)
    assert (none.interrupted, none.counts["missing"], len(none.figures)) == (True, 6, 0)
    assert len(none.best) == len(none.failures) == len(none.measurements) == 0
    run = raysweep.sweep(stopping_after(4, None), progress=False, **unlike_any_other)
    assert run.interrupted
    assert run.counts == {"finished": 4, "diverged": 0, "failed": 0, "missing": 2}
    assert "interrupted; the same call goes on" in repr(run)
    whole = raysweep.sweep(STUDY, progress=False, **unlike_any_other)
    assert (whole.interrupted, whole.counts["finished"]) == (False, 6)


def test_failures_say_why_and_how_to_see_it(unlike_any_other: dict[str, Any]) -> None:
    run = raysweep.sweep(stopping_after(5, RuntimeError("on purpose")), progress=False, **unlike_any_other)
    (failure,) = run.failures.to_dict("records")
    assert failure["error"] == "RuntimeError: on purpose"
    assert failure["traceback"].startswith("Traceback")
    assert failure["reproduce"].startswith("python -m raysweep.k_phase_diagram space=none ")
    assert f"seed={failure['seed']}" in failure["reproduce"]
    assert len(run.best) == 1


def test_a_spent_budget_is_told(unlike_any_other: dict[str, Any]) -> None:
    run = raysweep.sweep(STUDY, progress=False, budget={"trials": 2}, **unlike_any_other)
    assert run.counts["finished"] == 2
    assert "is spent; the same call goes on" in repr(run)


def handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def test_a_program_that_uses_hydra_itself_keeps_its_state(tmp_path: Path) -> None:
    store = ConfigStore.instance()
    theirs = {"defaults": ["_self_", {"space": "small"}], "data": 3}
    store.store("raysweep", theirs)
    store.store("small", {"size": 1}, group="space")
    try:
        with initialize(version_base="1.2", config_path=None):
            before = GlobalHydra.instance()
            assert len(raysweep.plan(STUDY, results=tmp_path, **SMALL)) == 4
            assert former_main(STUDY, ["space=smoke", "--dry-run", f"results={tmp_path}"]) == 0
            assert GlobalHydra.instance() is before
            assert getbase().public == "1.2"
            assert compose("raysweep") == {"data": 3, "space": {"size": 1}}
        assert not GlobalHydra.instance().is_initialized()
    finally:
        del store.repo["raysweep.yaml"], store.repo["space"]


def interrupt_when_busy() -> None:
    """Send Ctrl-C as soon as Tune holds the only core of a running Ray."""
    import ray

    while ray.available_resources().get("CPU"):
        time.sleep(0.1)
    signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.alone
def test_a_ray_that_runs_stays_and_gets_back_what_an_interrupted_sweep_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib
    import ray

    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    os.environ.pop("PYTHONBREAKPOINT", None)
    try:
        backend, threads = matplotlib.rcParams._get("backend"), torch.get_num_threads()
        before, collected = handlers(), (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count())
        long = {"space": "smoke", "steps": 10**6, "round_method": "jvp", "results": tmp_path}
        threading.Thread(target=interrupt_when_busy, daemon=True).start()
        assert raysweep.sweep(STUDY, progress=False, **long).interrupted
        run = raysweep.sweep(STUDY, progress=False, **{**long, "steps": 5})
        assert run.counts["finished"] == 4
        assert len(run.figures)
        assert ray.is_initialized()
        assert handlers() == before
        assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == collected
        assert (matplotlib.rcParams._get("backend"), torch.get_num_threads()) == (backend, threads)
        assert "PYTHONBREAKPOINT" not in os.environ
    finally:
        ray.shutdown()
