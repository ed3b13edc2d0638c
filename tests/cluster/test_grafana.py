"""The dashboard shows metrics that exist, all of them, from a data source that is chosen where it is used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cluster.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "cluster" / "grafana.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
OF_RAY = {"ray_cluster_active_nodes", "ray_cluster_pending_nodes", "ray_node_gpus_utilization"}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bray_\w+", expression))


def exported(name: str) -> set[str]:
    """Return the names under which Prometheus finds a metric of this project."""
    suffixes = ("_bucket", "_sum", "_count") if METRICS[name].kind == "histogram" else ("",)
    return {f"ray_{name}{suffix}" for suffix in suffixes}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_names_metrics_that_exist_with_labels_that_they_have(expression: str) -> None:
    ours = {shown: name for name in METRICS for shown in exported(name)}
    assert named(expression)
    assert named(expression) <= ours.keys() | OF_RAY
    for shown, selector in re.findall(r"\b(ray_raysweep_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)=", selector)) <= set(METRICS[ours[shown]].labels)
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_only_grows_is_shown_as_a_rate(expression: str) -> None:
    for shown in named(expression):
        if shown.endswith(("_total", "_bucket")):
            assert re.search(rf"\b(rate|increase)\({shown}\{{", expression), expression


def test_every_metric_is_shown() -> None:
    shown = set().union(*map(named, EXPRESSIONS))
    for name in METRICS:
        assert exported(name) & shown, name


def test_counters_are_named_as_prometheus_has_it() -> None:
    for name, metric in METRICS.items():
        assert name.startswith("raysweep_")
        assert name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.boundaries) == (metric.kind == "histogram")
        assert list(metric.boundaries) == sorted(set(metric.boundaries))
        assert set(metric.labels) <= {"study", "outcome"}  # few values each: every combination is a time series


def test_ray_has_the_metrics_that_are_taken_from_it() -> None:
    import ray.dashboard.modules.reporter as reporter

    text = Path(next(iter(reporter.__path__)), "reporter_agent.py").read_text(encoding="utf-8")
    for name in OF_RAY:
        assert f'"{name.removeprefix("ray_")}"' in text


def test_the_data_source_is_a_choice() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["study"]["includeAll"] is True
    for holder in (*PANELS, *(target for panel in PANELS for target in panel["targets"]), variables["study"]):
        assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_have_names_and_do_not_overlap() -> None:
    cells = [
        (column, row)
        for place in (panel["gridPos"] for panel in PANELS)
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert all(panel["description"] for panel in PANELS)


def test_the_documentation_lists_every_metric() -> None:
    text = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    for name, metric in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `ray_{name}` | {metric.kind} | {labels} | {metric.meaning} |" in text
