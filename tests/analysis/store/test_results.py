"""What every storage promises, on a local folder and two S3 servers."""

from __future__ import annotations

import pickle
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from analysis.store.errors import SchemaConflict, StoreMissing, StoreWarning
from analysis.store.results import Results
from analysis.store.schema import Column, StudySchema
from tests.analysis.store.samples import NOON, SCHEMA, STUDY, rows, trial
from tests.conftest import Place


def written(place: Place, *trials: dict[str, Any], scale: float = 1.0) -> Results:
    results = Results(place.root)
    for each in trials:
        results.write(SCHEMA, [each], {each["trial_id"]: rows(scale)})
    return results


def test_what_is_written_is_read(place: Place) -> None:
    results = written(place, trial("b", final_loss=0.5), trial("a", "diverged", error="step 3: loss is nan"))
    table = results.trials(STUDY)
    assert table["trial_id"].tolist() == ["a", "b"]
    assert table["outcome"].tolist() == ["diverged", "finished"]
    assert table["steps_recorded"].tolist() == [3, 3]
    assert table["final_loss"].tolist()[1] == 0.5
    assert table["finished_at"][0] == NOON
    measured = results.measurements(STUDY)
    assert measured[measured["trial_id"] == "a"]["loss"].tolist() == [0.0, 1.0, 2.0]
    assert results.studies() == [STUDY]


def test_only_failures_run_again(place: Place) -> None:
    results = written(place, trial("a"), trial("b", "failed"), trial("c", "diverged"), trial("d", "stopped"))
    assert results.finished(STUDY) == {"a", "c", "d"}
    assert results.outcomes(STUDY)["b"] == "failed"
    results.write(SCHEMA, [trial("b", minute=9)], {"b": rows(2.0)})
    assert results.finished(STUDY) == {"a", "b", "c", "d"}
    measured = results.measurements(STUDY)
    assert measured[measured["trial_id"] == "b"]["loss"].tolist() == [0.0, 2.0, 4.0]


def test_the_same_work_twice_is_one_trial(place: Place) -> None:
    results = written(place, trial("a"), trial("a"), trial("a", minute=4))
    assert len(results.trials(STUDY)) == 1
    assert len(results.measurements(STUDY)) == 3


def test_a_store_says_nothing_before_its_first_write(place: Place) -> None:
    results = Results(place.root)
    assert results.finished(STUDY) == set()
    assert results.studies() == []
    with pytest.raises(StoreMissing, match="no such study"):
        results.trials(STUDY)


def test_prepare_warns_exactly_where_conditions_are_ignored(place: Place) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Results(place.root).prepare(SCHEMA)
    assert [warning.category for warning in caught] == ([] if place.conditional else [StoreWarning])
    assert len(Results(place.root).trials(STUDY)) == 0


def test_a_type_change_is_refused_until_the_revision_is_bumped(place: Place) -> None:
    results = written(place, trial("a"))
    wider = (Column(name="width", type=float), Column(name="seed", type=int))
    changed = StudySchema(study=STUDY, revision=1, knobs=wider, measurements=SCHEMA.measurements)
    with pytest.raises(SchemaConflict, match=r"width is stored as int at revision 1 .* declared as float.* bump"):
        Results(place.root).write(changed, [trial("b", width=0.5)], {})
    bumped = StudySchema(study=STUDY, revision=2, knobs=wider, measurements=SCHEMA.measurements)
    results.write(bumped, [trial("b", width=0.5)], {})
    assert results.trials(STUDY)["width"].tolist() == [64.0, 0.5]
    assert results.trials(STUDY, revision=1)["width"].tolist() == [64]
    assert results.arrow().trials(STUDY, revision=1).schema.field("width").type == pa.int64()


def test_compaction_moves_trials_and_changes_no_answer(place: Place) -> None:
    results = written(place, trial("a"), trial("b"), trial("c", "failed"))
    before = results.trials(STUDY), results.measurements(STUDY).sort_values(["trial_id", "step"], ignore_index=True)
    assert results.compact(STUDY).trials == 2
    assert results.compact(STUDY).packs == 0
    assert results.trials(STUDY).equals(before[0])
    assert results.measurements(STUDY).sort_values(["trial_id", "step"], ignore_index=True).equals(before[1])
    assert results.check(STUDY) == []


def test_compaction_may_wait_for_enough_packs(tmp_path: Path) -> None:
    results = written(Place(str(tmp_path)), trial("a"), trial("b"))
    assert results.compact(STUDY, at_least=3).packs == 0
    assert results.compact(STUDY, at_least=2).packs == 2


def test_a_late_writer_of_a_compacted_trial_changes_nothing(place: Place) -> None:
    results = written(place, trial("a", minute=5))
    results.compact(STUDY)
    written(place, trial("a", minute=-5), scale=2.0)
    assert results.measurements(STUDY)["loss"].tolist() == [0.0, 1.0, 2.0]
    assert results.compact(STUDY).packs == 1
    assert results.measurements(STUDY)["loss"].tolist() == [0.0, 1.0, 2.0]


def test_removed_trials_are_gone_and_may_come_back(place: Place) -> None:
    results = written(place, trial("a"), trial("b"))
    results.compact(STUDY)
    written(place, trial("c"))
    assert results.remove(STUDY, ["a", "c", "unknown"]) == 2
    assert results.remove(STUDY, ["a"]) == 0
    assert results.trials(STUDY)["trial_id"].tolist() == ["b"]
    written(place, trial("a"))
    results.compact(STUDY)
    assert results.finished(STUDY) == {"a", "b"}
    assert results.check(STUDY) == []


def test_knobs_join_the_rows(place: Place) -> None:
    results = written(place, trial("a", width=8))
    assert results.measurements(STUDY, knobs=True).columns.tolist()[-3:] == ["seed", "width", "outcome"]
    assert results.measurements(STUDY, knobs=["width"])["width"].tolist() == [8, 8, 8]
    with pytest.raises(StoreMissing, match="no columns depth"):
        results.measurements(STUDY, knobs=["depth"])


def test_frames(place: Place) -> None:
    results = written(place, trial("a"))
    assert isinstance(results.polars().trials(STUDY), pl.DataFrame)
    assert results.arrow().measurements(STUDY).schema == SCHEMA.measurements_schema()
    assert results.arrow().trials(STUDY).schema == SCHEMA.trials_schema()


def test_sql_over_inbox_and_parts(place: Place) -> None:
    results = written(place, trial("a"))
    results.compact(STUDY)
    written(place, trial("b"))
    query = "select count(*) as rows, sum(loss) as loss from walk.measurements join walk.trials using (trial_id)"
    answer = results.sql(query)
    assert answer.to_dict("list") == {"rows": [6], "loss": [6.0]}


def test_sweeps_are_recorded_once(place: Place) -> None:
    results = Results(place.root)
    assert results.record_sweep(STUDY, "s1", {"space": "laptop"}, ["a", "b"])
    assert not results.record_sweep(STUDY, "s1", {"space": "full"}, ["c"])
    (sweep,) = results.sweeps(STUDY)
    assert (sweep.sweep_id, sweep.document, sweep.trial_ids) == ("s1", {"space": "laptop"}, ("a", "b"))
    results.forget_sweep(STUDY, "s1")
    assert results.sweeps(STUDY) == []


def test_stages_are_whole_or_absent(place: Place) -> None:
    results = Results(place.root)
    assert results.read_stage(STUDY, "f1") is None
    arrays = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3).T, "steps": np.array(7)}
    assert results.write_stage(STUDY, "f1", arrays, {"loss": 0.5})
    assert not results.write_stage(STUDY, "f1", {"weights": np.zeros(1)})
    stage = results.read_stage(STUDY, "f1")
    assert stage is not None
    assert stage.metadata == {"loss": 0.5}
    assert stage.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(stage.arrays[name], array, strict=True)


def test_results_travel_to_workers(place: Place) -> None:
    results = written(place, trial("a"))
    assert pickle.loads(pickle.dumps(results)).finished(STUDY) == {"a"}


def test_times_come_back_in_utc(place: Place) -> None:
    offset = datetime.fromisoformat("2026-01-01T14:00:00+02:00")
    results = written(place, trial("a", started_at=offset))
    assert results.trials(STUDY)["started_at"][0] == NOON
    assert str(results.trials(STUDY)["started_at"].dt.tz) == "UTC"
