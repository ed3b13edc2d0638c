import math

import pytest

from raysweep.gauss_newton_damping import STUDY as DAMPING
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands import explanation
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.settings.spaces import spaces
from raysweep.service.errors import UsageError
from raysweep.service.study import Study
from search_spaces.core.planner import GridPlanner


def axes(*overrides: str) -> dict[str, tuple[object, ...]]:
    return dict(read_settings(STUDY, overrides).planner.grid.axes)


def test_without_overrides_the_laptop_space_is_taken() -> None:
    settings = read_settings(STUDY, [])
    assert settings.space == "laptop"
    assert len(settings.planner.grid) >= 18
    assert settings.executor == "ray"


@pytest.mark.parametrize("space", spaces(STUDY))
def test_every_space_gives_allowed_knobs_and_says_what_it_is(space: str) -> None:
    planner = read_settings(STUDY, [f"space={space}"]).planner
    assert 0 < len(planner.ask(3)) <= len(planner)
    if isinstance(planner, GridPlanner):
        assert len(list(planner.grid)) == len(planner)
    assert f"  {space} " in explanation.of(STUDY)


@pytest.mark.parametrize(
    ("study", "overrides", "column", "allowed"),
    [
        (STUDY, ["space=parity", "measured_rounds=5"], "measured_rounds", {5}),
        (STUDY, ["space=fixed_rounds", "feature_update_interval=[3,4]"], "feature_update_interval", {3, 4}),
        (DAMPING, ["space=softmax", "damping=3"], "damping", {3}),
        (DAMPING, ["space=softmax", "damping=[2,3]"], "damping", {2, 3}),
        (DAMPING, ["space=digits", "steps=7"], "steps", {7}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_given_goes_before_what_a_space_computes_or_lists(
    study: Study, overrides: list[str], column: str, allowed: set[int]
) -> None:
    written, given = (read_settings(study, cut).planner.grid for cut in (overrides[:1], overrides))
    assert {knobs.columns()[column] for knobs in given} == allowed
    others = [name for name in next(iter(given)).columns() if name != column]
    assert {knobs.columns()["seed"] for knobs in given} == {knobs.columns()["seed"] for knobs in written}
    assert any(len({knobs.columns()[name] for knobs in given}) > 1 for name in others), "the rest varies as written"


def test_a_list_replaces_an_axis() -> None:
    assert axes("axes.feature_update_interval=[1,8,64,512]")["feature_update_interval"] == (1, 8, 64, 512)


@pytest.mark.parametrize(
    "override", ["axes.seed=range(5)", "seed=range(5)", "seed=0,1,2,3,4", "axes.seed=[0,1,2,3,4]", "seed=[0,1,2,3,4]"]
)
def test_several_values_make_an_axis(override: str) -> None:
    assert axes(override)["seed"] == (0, 1, 2, 3, 4)


def test_expressions_reach_the_axis() -> None:
    assert axes("axes.learning_rate=log(1e-3,1,4)")["learning_rate"] == (0.001, 0.01, 0.1, 1.0)


def test_infinity_may_be_written_in_a_list() -> None:
    assert axes("axes.feature_update_interval=[1,inf]")["feature_update_interval"] == (1, math.inf)


def test_one_value_replaces_the_space_s_axis() -> None:
    settings = read_settings(STUDY, ["seed=7", "feature_update_interval=3"])
    assert dict(settings.planner.grid.axes) == {}
    (knobs,) = settings.planner.grid
    assert (knobs.seed, knobs.columns()["feature_update_interval"]) == (7, 3)


def test_a_nested_knob_may_be_an_axis() -> None:
    assert axes("axes.data.train_size=[100,200]")["data_train_size"] == (100, 200)
    assert axes("data.train_size=100,200")["data_train_size"] == (100, 200)
    assert axes("data.train_size=[100,200]")["data_train_size"] == (100, 200)


def test_the_data_set_s_place_is_no_knob() -> None:
    settings = read_settings(STUDY, ["data=cifar10", "data.path=/somewhere", "space=none"])
    assert settings.data_path == "/somewhere"
    (knobs,) = settings.planner.grid
    assert knobs.columns()["data_name"] == "cifar10"
    assert "data_path" not in knobs.columns()


def test_the_user_s_data_set_beats_the_space_s() -> None:
    (knobs, *_) = read_settings(STUDY, ["space=cifar10_subset", "data=mnist"]).planner.grid
    assert knobs.columns()["data_name"] == "mnist"
    assert knobs.columns()["data_train_size"] == 2000


def test_the_results_root_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSWEEP_RESULTS", "s3://bucket/prefix")
    assert read_settings(STUDY, []).results == "s3://bucket/prefix"
    assert read_settings(STUDY, ["results=elsewhere"]).results == "elsewhere"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("widht=3", "unknown setting 'widht'; did you mean 'width'?"),
        ("axes.widht=[3]", "unknown setting 'axes.widht'; did you mean 'axes.width'?"),
        ("zzz=3", "unknown setting 'zzz'; allowed are seed, steps"),
        ("space=zzz", "space=zzz is unknown; allowed are axes_full, boundary, cifar10_small_steps"),
        ("space=lapto", "space=lapto is unknown; did you mean 'laptop'?"),
        ("data=nope", "data=nope is unknown; allowed are digits, cifar10, mnist, cat_dog"),
        ("width=[1", "cannot read 'width=[1'"),
        ("resources.gpus=0.3", "resources.gpus must be 1/n so that actors fill a GPU, got 0.3; try 0.333"),
        ("resources.gpus=all", "resources.gpus must be 0, 1/n, a whole number or auto, got 'all'"),
        ("resources.cpus=0", "resources.cpus must be a whole number of at least 1, got 0"),
        ("axes.feature_update_interval=[]", "axis feature_update_interval has no values"),
        ("axes.learning_rate=logspace(1,2,3)", "unknown expression 'logspace(1,2,3)'; allowed are"),
        ("executor=threads", "executor='threads' is not one of ray, serial"),
        ("width", "'width' is no override"),
        ("budget.trials=0", "budget.trials must be a number above 0, got 0"),
        ("budget.hours=nan", "budget.hours must be a number above 0, got nan"),
        ("budget.trials=inf", "budget.trials must be a number above 0, got inf"),
        ("resources.cpus=true", "resources.cpus must be a whole number of at least 1, got True"),
        ("most_trials=0", "most_trials must be a whole number of at least 1, got 0"),
        ("budget.days=1", "unknown setting 'budget.days'"),
    ],
)
def test_bad_input_says_in_one_line_what_is_allowed(override: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_settings(STUDY, [override])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_help_names_every_knob_with_its_default() -> None:
    text = explanation.of(STUDY)
    for declared in STUDY.knobs.declared():
        assert ".".join(declared.path) in text
        assert f"default {declared.default}" in text


HUGE = ["space=none", "axes.seed=range(1000000)", "axes.width=range(1,1001)"]


@pytest.mark.parametrize("plan", ["plan=true", "plan=false"])
def test_a_space_of_a_billion_trials_is_counted_and_refused(plan: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_settings(STUDY, [*HUGE, plan])
    assert str(refused.value) == (
        "the space has 1,000,000,000 trials, more than most_trials=1000000; narrow it, or add most_trials=1000000000"
    )
    allowed = read_settings(STUDY, [*HUGE, "most_trials=1000000000"])
    assert len(allowed.planner) == 10**9
