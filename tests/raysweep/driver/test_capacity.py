"""What the monitor's reports say of a cluster: whether nodes may come that are not up yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from raysweep.service.driver import capacity

ALONE = {"node_type_mapping": {"a1": "node_a1"}}
SCALED = {"node_type_mapping": {"a1": "head", "b2": "gpu"}}
UNSEEN: dict[str, Any] = {"node_type_mapping": {}}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "_SETTLING_SECONDS", 1.0)


def reporting(monkeypatch: pytest.MonkeyPatch, *reports: dict[str, Any] | None) -> None:
    """Let the monitor give these reports, one a look; the last one stays."""

    def looks() -> Iterator[bytes | None]:
        for report in reports:
            yield None if report is None else json.dumps({"autoscaler_report": report}).encode()
        while True:
            yield None if reports[-1] is None else json.dumps({"autoscaler_report": reports[-1]}).encode()

    looked = looks()
    monkeypatch.setattr(capacity.internal_kv, "_internal_kv_get", lambda key: next(looked))


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ((None,), False),
        ((ALONE,), False),
        ((SCALED,), True),
        ((UNSEEN, UNSEEN, ALONE), False),
        ((UNSEEN, SCALED), True),
    ],
)
def test_whether_nodes_may_come(
    reports: tuple[dict[str, Any] | None, ...], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monitor's first report may be of no node: taken as an autoscaler's, it would be waited for without end."""
    reporting(monkeypatch, *reports)
    assert capacity.grows() is expected


def test_a_monitor_that_never_sees_a_node_may_be_an_autoscalers(monkeypatch: pytest.MonkeyPatch) -> None:
    reporting(monkeypatch, UNSEEN)
    assert capacity.grows()


@pytest.mark.parametrize(("report", "expected"), [(ALONE, 6), (None, 6), (SCALED, 20), (UNSEEN, 20)])
def test_more_packs_wait_where_nodes_may_come(
    report: dict[str, Any] | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporting(monkeypatch, report)
    assert capacity.pending(2) == expected
