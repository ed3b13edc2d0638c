import math
from pathlib import Path

import optuna
import pytest

from search_spaces.core.optuna_study import as_optuna_study
from search_spaces.core.samplers import SAMPLERS
from search_spaces.core.search import SearchPlanner
from search_spaces.core.space import space_of
from tests.search_spaces.core.test_planners import RATE, WIDTH, search
from tests.search_spaces.core.toys import COLUMNS, ToyKnobs, hill, run_to_the_end, told


def planner(written: dict[str, object], **axes: object) -> SearchPlanner:
    found = space_of(ToyKnobs, {"axes": axes, "search": written}, COLUMNS)
    assert isinstance(found, SearchPlanner)
    return found


def best(written: dict[str, object]) -> float:
    rows = run_to_the_end(planner(written), together=1)
    return max(row["final_score"] for row in rows.values() if row["outcome"] == "finished")


def mean_best(sampler: str, trials: int, seeds: int) -> float:
    return sum(best(search(sampler, trials=trials, seed=seed)) for seed in range(seeds)) / seeds


@pytest.mark.parametrize(
    ("sampler", "trials", "seeds"), [("tpe", 40, 6), ("cmaes", 40, 6), ("nsga2", 40, 6), ("gp", 20, 2)]
)
def test_a_sampler_that_learns_finds_better_than_random(sampler: str, trials: int, seeds: int) -> None:
    assert mean_best(sampler, trials, seeds) > mean_best("random", trials=40, seeds=12)


def test_the_sampler_s_seed_decides_the_search() -> None:
    first, same, other = (planner(search("tpe", seed=seed)).ask(3) for seed in (0, 0, 1))
    assert first == same != other


def test_types_follow_the_knobs_and_values_their_ranges() -> None:
    over = {"rate": {"low": 1, "high": 2}, "width": {"low": 8, "high": 64, "step": 8}, "bias": [True, False]}
    rows = run_to_the_end(planner(search("tpe", over={**over, "network": {"choices": ["mlp", "cnn"]}})))
    for knobs in rows:
        columns = knobs.columns()
        assert isinstance(columns["rate"], float)
        assert 1 <= columns["rate"] <= 2
        assert columns["width"] in range(8, 65, 8)
    assert {(knobs.columns()["bias"], knobs.columns()["network"]) for knobs in rows} > {(True, "mlp")}


STEPPED = {"rate": {"low": 0.1, "high": 0.85, "step": 0.1}}
TYPED = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_steps_of_a_range_are_the_numbers_that_one_types(sampler: str) -> None:
    rows = run_to_the_end(planner(search(sampler, trials=40, over=STEPPED)))
    rates = {knobs.columns()["rate"] for knobs in rows}
    assert rates == TYPED if sampler == "tpe" else {0.3, 0.7} & rates <= rates <= TYPED


def test_a_search_knows_trials_from_before_its_steps_were_the_numbers_typed() -> None:
    before = [0.1 + 0.1 * step for step in range(8)]
    assert set(before) != TYPED
    whole = planner(search("tpe", trials=8, over=STEPPED))
    told(whole, [(knobs, hill(knobs)) for knobs in (ToyKnobs(rate=rate) for rate in before)])
    assert whole.finished and whole.ask(1) == []


def test_each_combination_of_the_axes_has_a_search_of_its_own() -> None:
    rows = run_to_the_end(planner(search("qmc", trials=8), network=["mlp", "cnn"], interval=[1, 10]))
    by_cell: dict[object, set[object]] = {}
    for knobs in rows:
        columns = knobs.columns()
        by_cell.setdefault((columns["network"], columns["interval"]), set()).add((columns["rate"], columns["width"]))
    assert [len(found) for found in by_cell.values()] == [8] * 4
    assert len(set(map(frozenset, by_cell.values()))) == 1  # the same configurations, to compare


def test_a_configuration_is_run_with_every_seed_and_judged_by_the_mean() -> None:
    whole = planner(search("random", trials=5), seed=[1, 2, 4])
    rows = run_to_the_end(whole)
    assert sorted(knobs.seed for knobs in rows) == sorted([1, 2, 4] * 5)
    (one,) = whole.searches
    for (rate, width), values in one.observations.values(one.observations.complete()).items():
        expected = [hill(ToyKnobs(rate=rate, width=width, seed=seed)) for seed in (1, 2, 4)]
        if all(row["outcome"] == "finished" for row in expected):
            assert values == pytest.approx([sum(row["final_score"] for row in expected) / 3])


def test_a_configuration_that_lacks_a_replicate_is_completed_first() -> None:
    whole = planner(search("tpe"), seed=[0, 1])
    half = ToyKnobs(rate=0.1, width=100, seed=1)
    (following,) = told(whole, [(half, hill(half))]).ask(1)
    assert following == ToyKnobs(rate=0.1, width=100, seed=0)


def test_divergence_counts_as_worse_than_all_else_in_every_objective() -> None:
    whole = planner(search("nsga2", objective={"final_score": "maximize", "gpu_seconds": "minimize"}))
    for rate, width in ((0.1, 100), (0.01, 20), (0.9, 16)):
        knobs = ToyKnobs(rate=rate, width=width)
        whole.tell(knobs, hill(knobs))
    values = whole.searches[0].observations.values([(0.1, 100), (0.01, 20), (0.9, 16)])
    scores, seconds = zip(*(value for value in values.values() if value), strict=True)
    assert scores[2] == pytest.approx(scores[1] - 0.1 * (scores[0] - scores[1]))
    assert seconds == pytest.approx((100, 20, 108))


def test_searches_turn_away_from_where_trials_diverge() -> None:
    rows = run_to_the_end(planner(search("tpe", trials=60)), together=1)
    outcomes = [row["outcome"] for row in rows.values()]
    assert outcomes[:20].count("diverged") > outcomes[-20:].count("diverged") == 0


def test_stored_trials_of_another_space_help_a_search_that_models() -> None:
    known = [ToyKnobs(rate=rate, width=width) for rate in (0.01, 0.05, 0.3) for width in (32, 64, 100, 200)]
    whole = told(planner(search("tpe", trials=14)), [(knobs, hill(knobs)) for knobs in known])
    assert len(run_to_the_end(whole)) == 2


def test_a_small_space_is_searched_to_its_end() -> None:
    over = {"network": ["mlp", "cnn"], "width": {"low": 1, "high": 3}}
    for sampler in ("random", "qmc", "tpe", "gp", "nsga2"):
        rows = run_to_the_end(planner(search(sampler, over=over, trials=100)))
        assert len(rows) == 6 or sampler in ("random", "qmc", "nsga2")


def test_two_objectives_have_a_front_along_their_trade_off() -> None:
    def trade(knobs: ToyKnobs) -> dict[str, object]:
        wide = math.log2(knobs.width / 16) / 5
        return {"outcome": "finished", "final_score": wide - (math.log10(knobs.rate / 0.03)) ** 2, "gpu_seconds": wide}

    objective = {"final_score": "maximize", "gpu_seconds": "minimize"}
    found = {}
    for sampler in ("nsga2", "random"):
        rows = run_to_the_end(planner(search(sampler, objective=objective, trials=120)), trade)  # type: ignore[arg-type]
        values = [(row["final_score"], row["gpu_seconds"]) for row in rows.values()]
        found[sampler] = sum(max((s for s, g in values if g <= cost), default=0) for cost in (0.2, 0.4, 0.6, 0.8, 1))
    assert found["nsga2"] > found["random"] - 0.05
    assert found["nsga2"] > 2.6  # 3 at best


def test_a_search_opens_as_a_study_of_optuna(tmp_path: Path) -> None:
    whole = planner(search("tpe", trials=6), network=["mlp", "cnn"], seed=[0, 1])
    run_to_the_end(whole)
    storage = f"sqlite:///{tmp_path}/optuna.db"
    for _ in range(2):
        as_optuna_study(whole, storage, "toy")
    study = optuna.load_study(study_name="toy", storage=storage)
    assert len(study.trials) == 12
    assert set(study.trials[0].params) == {"rate", "width", "network"}
    assert study.best_value == max(trial.values[0] for trial in study.trials)
    assert study.metric_names == ["final_score"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"sampler": "annealing"},
            "search.sampler='annealing' is unknown; allowed are random, qmc, tpe, gp, cmaes, nsga2",
        ),
        ({"trails": 3}, "search.trails is unknown; did you mean 'trials'?"),
        ({"trials": 0}, "search.trials must be a whole number of at least 1, got 0"),
        ({"trials": None}, "search.trials is missing"),
        ({"over": {}}, "search.over is empty"),
        ({"over": {"rate": {"low": 1, "high": 2, "step": 0}}}, "search.over.rate.step must be a number above 0, got 0"),
        (
            {"over": {"rate": {"low": 1, "high": 2, "log": "yes"}}},
            "search.over.rate.log must be true or false, got 'yes'",
        ),
        ({"over": {"width": {"low": 1, "high": 9, "step": 1.5}}}, "search.over.width: 1.5 is not a whole number"),
        ({"over": {"rat": RATE}}, "search.over.rat is no knob of this study; did you mean 'rate'?"),
        ({"over": {"seed": {"low": 0, "high": 9}}}, "seeds are replicates"),
        ({"over": {"rate": {"low": 1, "high": 0.1}}}, "search.over.rate needs low < high"),
        ({"over": {"rate": {"low": 0, "high": 1, "log": True}}}, "search.over.rate: "),
        ({"over": {"rate": {"low": 0.1, "high": 20}}}, "search.over: rate must be at most 10, got 20.0"),
        ({"over": {"rate": {"low": 0.1}}}, "search.over.rate is not understood"),
        ({"over": {"width": {"low": 1.5, "high": 4}}}, "search.over.width: 1.5 is not a whole number"),
        ({"over": {"network": {"low": 0, "high": 1}}}, "search.over.network is no number"),
        ({"over": {"network": ["mlp", "vit"]}}, "network='vit' is not one of mlp, cnn"),
        ({"over": {"interval": [1, "inf"]}}, "search.over.interval needs finite choices"),
        ({"objective": {}}, "search.objective is empty"),
        ({"objective": {"final_score": "up"}}, "search.objective.final_score='up' is not one of maximize, minimize"),
        (
            {"objective": {"final_scroe": "maximize"}},
            "'final_scroe' is no column of the table of trials; did you mean final_score",
        ),
        ({"sampler": "cmaes", "over": {"bias": [True, False]}}, "search.sampler=cmaes takes no choices, as bias has"),
        (
            {"sampler": "cmaes", "objective": {"final_score": "maximize", "gpu_seconds": "minimize"}},
            "search.sampler=cmaes takes one objective; for several there are random, qmc, tpe, gp, nsga2",
        ),
    ],
)
def test_what_a_search_cannot_do_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        planner({**search("tpe"), **changed})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_axis_cannot_be_searched_as_well() -> None:
    with pytest.raises(ValueError, match="width is both an axis and searched over"):
        planner(search("tpe"), width=[1, 2])


def test_a_huge_grid_of_searches_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"the grid has 1,000,000,000 cells, each with .*; at most 1,000"):
        planner(search("tpe"), interval="range(1, 1000000001)")


def test_every_sampler_takes_many_dimensions() -> None:
    over = {"rate": RATE, "width": WIDTH, "steps": {"low": 10, "high": 99}, "interval": {"low": 1, "high": 99}}
    for sampler in SAMPLERS:
        assert len(run_to_the_end(planner(search(sampler, over=over, trials=12)))) == 12
