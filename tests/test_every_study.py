"""What every study passes by existing."""

import json
import pickle
import sys
from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.service.study import Study
from tests.studies import assert_group_tells_as_alone, every_study, groups_of, run_serially, smallest_sweep
from trials.core.context import TrialContext
from trials.core.rows import checked

PINNED = Path(__file__).with_name("pinned_ids")
studies = pytest.mark.parametrize("study", every_study(), ids=lambda study: study.name)
together = [study for study in every_study() if study.together]


def pinned(study: Study) -> Path:
    """Return the file with the ids of a study's smallest sweep: beside a package that is not of the repository."""
    beside = Path(str(sys.modules[study.module].__file__)).with_name("pinned_ids.json")
    return PINNED / f"{study.name}.json" if study.module == f"raysweep.{study.name}" else beside


@studies
def test_same_knobs_give_the_same_rows(study: Study) -> None:
    trial = smallest_sweep(study)[-1]
    first, second = (list(checked(study.trial(trial.knobs, TrialContext()), study.measurements)) for _ in range(2))
    assert first == second
    assert len(first) > 1


@studies
def test_other_seeds_give_other_rows(study: Study) -> None:
    one, other = (smallest_sweep(study, f"seed={seed}")[0] for seed in (0, 1))
    first, second = (list(study.trial(trial.knobs, TrialContext())) for trial in (one, other))
    assert first != second


@studies
def test_ids_are_distinct_and_stay_what_they_were(study: Study) -> None:
    ids = [trial.trial_id for trial in smallest_sweep(study)]
    assert len(set(ids)) == len(ids)
    assert ids == json.loads(pinned(study).read_text(encoding="utf-8"))


@studies
def test_knobs_and_the_recipe_travel_to_other_processes(study: Study) -> None:
    knobs = smallest_sweep(study)[0].knobs
    assert pickle.loads(pickle.dumps(knobs)) == knobs
    assert pickle.loads(pickle.dumps(study.trial)) is study.trial
    assert study.trial.__annotations__["knobs"] == study.knobs.__name__
    of_the_repository = study.module == f"raysweep.{study.name}"
    for module, drawer in ((study.recipe, "trials"), (study.figures, "analysis")):
        assert f"{module}.".startswith(f"{drawer}.{study.name}." if of_the_repository else study.module)


@studies
def test_knobs_are_rebuilt_from_what_is_stored(study: Study) -> None:
    for trial in smallest_sweep(study):
        columns = json.loads(json.dumps(trial.knobs.columns()))
        assert study.trial_id(study.knobs.from_columns(columns)) == trial.trial_id


@studies
def test_stored_trials_are_whole_and_draw(study: Study, tmp_path: Path) -> None:
    trials = smallest_sweep(study)
    outcomes = run_serially(study, tmp_path, trials)
    results = Results(tmp_path)
    table = results.trials(study.name).set_index("trial_id")
    assert set(table.index) == {trial.trial_id for trial in trials} == set(outcomes)
    for trial in trials:
        assert table.loc[trial.trial_id, list(trial.knobs.columns())].to_dict() == trial.knobs.columns()
    rows = results.measurements(study.name).groupby("trial_id").size()
    assert rows.to_dict() == table["steps_recorded"].to_dict()
    drawings = study.draw(results)
    assert drawings
    for number, drawing in enumerate(drawings):
        assert len(drawing.numbers)
        drawing.figure.savefig(tmp_path / f"{number}.png")


@studies
def test_every_measurement_is_described(study: Study) -> None:
    for name, measurement in study.measurements.items():
        assert len(measurement.meaning) > 10, name
    assert study.headline.removeprefix("final_") in study.measurements
    assert study.across in {declared.name for declared in study.knobs.declared()}


def test_trials_together_tell_what_they_tell_alone() -> None:
    for study in together:
        groups = groups_of(study, smallest_sweep(study))
        assert groups, f"{study.name}: no two trials of the space smoke may train together"
        for group in groups:
            assert_group_tells_as_alone(study, group.trials)
