"""Declarations: names, types, unions and the check of rows against them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from analysis.store.common_columns import COMMON
from analysis.store.errors import SchemaConflict
from analysis.store.packs import packed
from analysis.store.schema import Column, StudySchema, refuse_type_changes, unified
from tests.analysis.store.samples import SCHEMA, rows, trial


def declared(*knobs: Column, revision: int = 1) -> StudySchema:
    return StudySchema(study="walk", revision=revision, knobs=knobs, measurements=SCHEMA.measurements)


def test_the_tables_columns() -> None:
    names = SCHEMA.trials_schema().names
    assert names == [*COMMON, "width", "final_loss"]
    assert SCHEMA.measurements_schema().names == ["trial_id", "step", "loss", "layer"]
    assert SCHEMA.trials_schema().field("width").metadata[b"default"] == b"128"


def test_a_declaration_survives_its_json() -> None:
    assert StudySchema.from_json(SCHEMA.to_json()) == SCHEMA


@pytest.mark.parametrize("name", ["Width", "2wide", "wi-dth", "", "größe", "a b"])
def test_malformed_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters"):
        Column(name=name, type=int)


@pytest.mark.parametrize("name", ["outcome", "trial_id", "final_loss", "loss", "step"])
def test_knobs_that_would_hide_a_column_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} would name two columns"):
        declared(Column(name=name, type=float))


def test_types_beyond_the_four_are_refused() -> None:
    with pytest.raises(ValueError, match="bool, int, float, str"):
        Column(name="knob", type=list)


def test_the_union_keeps_order_and_the_older_default() -> None:
    old = declared(Column(name="width", type=int, default=1))
    new = declared(Column(name="depth", type=int), Column(name="width", type=int, default=2), revision=2)
    assert [(column.name, column.default) for column in unified([new, old]).knobs] == [("width", 1), ("depth", None)]


@pytest.mark.parametrize(("first", "second", "union"), [(int, float, float), (int, str, str), (bool, int, str)])
def test_types_widen_across_revisions(first: type, second: type, union: type) -> None:
    schemas = [declared(Column(name="knob", type=kind), revision=number) for number, kind in enumerate((first, second))]
    assert unified(schemas).knobs[0].type is union


def test_a_name_cannot_move_from_knob_to_measurement() -> None:
    moved = replace(SCHEMA, revision=2, knobs=(), measurements=(Column(name="width", type=int),))
    with pytest.raises(SchemaConflict, match="width would name two columns"):
        refuse_type_changes(moved, [SCHEMA])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 64.0}, "width must be int"),
        ({"width": True}, "width must be int"),
        ({"width": "64"}, "width must be int"),
        ({"final_loss": "low"}, "final_loss must be float"),
        ({"outcome": "lost"}, "not one of finished, diverged, stopped, failed"),
        ({"started_at": datetime(2026, 1, 1)}, "time zone"),
        ({"started_at": "2026-01-01"}, "time zone"),
        ({"revision": 7}, "revision is 7, expected 1"),
        ({"steps_recorded": 1}, "steps_recorded is 1, expected 3"),
        ({"depth": 3}, "undeclared columns depth"),
        ({"seed": None}, "lacks seed"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        packed(SCHEMA, [{**trial("a"), **change}], {"a": rows()})


def test_measured_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="undeclared columns accuracy"):
        packed(SCHEMA, [trial("a")], {"a": [{"step": 0, "accuracy": 1.0}]})
    with pytest.raises(ValueError, match=r"measurements of \['b'\]"):
        packed(SCHEMA, [trial("a")], {"b": rows()})
    with pytest.raises(ValueError, match="distinct trial_id"):
        packed(SCHEMA, [trial("a"), trial("a")], {})


def test_values_keep_their_bits() -> None:
    values = [0.1, float("inf"), float("-inf"), 5e-324, -0.0, None, np.float64(0.3), 2]
    pack = packed(SCHEMA, [trial("a")], {"a": [{"step": step, "loss": value} for step, value in enumerate(values)]})
    assert pack.measurements.column("loss").to_pylist() == [
        0.1,
        float("inf"),
        -float("inf"),
        5e-324,
        -0.0,
        None,
        0.3,
        2.0,
    ]
    assert pack.measurements.column("loss").type == pa.float64()


def test_a_pack_is_named_by_what_was_computed() -> None:
    def name(*trials: dict[str, Any], scale: float = 1.0) -> str:
        return packed(SCHEMA, trials, {"a": rows(scale)}).name

    assert name(trial("a"), trial("b")) == name(trial("b", minute=3), trial("a", minute=4, device="cuda"))
    assert len({name(trial("a")), name(trial("a", "failed")), name(trial("a"), scale=2.0)}) == 3
