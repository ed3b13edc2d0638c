"""Spaces: what a YAML file says of where to look, as a planner.

```yaml
axes:    # every combination
  width: powers_of_two(16, 512)
  seed: range(3)
  feature_updates: [1, 4, 16]    # no knob: an aid of what is computed
linked:    # side by side: one axis
  - {batch_size: [32, 128], learning_rate: [0.02, 0.08]}
computed:    # from other axes and fixed knobs
  feature_update_interval: steps / feature_updates
union:    # several grids, each combined with the axes above, what they share once
  - axes: {depth: [1, 2]}
  - axes: {depth: 8, loss: mse}
search:    # in each cell of the grid; or:
  sampler: tpe
  trials: 64
  objective: {final_test_acc_lin: maximize}
  over:
    learning_rate: {low: 0.001, high: 1, log: true}
boundary:    # in each cell of the grid
  response: final_test_acc_lin
  level: 0.5    # or `steepest: true`
  over:
    learning_rate: log(1e-3, 1, 33)
    feature_update_interval: log(1, 4000, 33)
```

Without `search` and `boundary` the planner is the grid. With either, the grid's axes but the seed's make the cells of
which each has a search, or a diagram with a boundary, of its own; seeds are replicates.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from search_spaces.core.axes import Axis, axis
from search_spaces.core.formula import Formula
from search_spaces.core.grid import SEED, Grid
from search_spaces.core.linked import computed, side_by_side
from search_spaces.core.planner import GridPlanner
from search_spaces.core.union import Union
from trials.core.knobs import TrialKnobs
from trials.core.suggestions import suggestion

if TYPE_CHECKING:
    from search_spaces.core.boundary import BoundaryPlanner
    from search_spaces.core.search import SearchPlanner

Written = Mapping[str, Any]

GRID_KEYS = ("axes", "linked", "computed")
PLANNERS = ("search", "boundary")
KEYS = (*GRID_KEYS, "union", *PLANNERS, "fixed")
_FORMS: dict[str, tuple[Any, str]] = {
    "axes": (Mapping, "knobs with their values: {seed: range(3)}"),
    "linked": (list | tuple, "a list of mappings: [{steps: [...], width: [...]}]"),
    "computed": (Mapping, "knobs with their arithmetic: {width: 8 * depth}"),
    "union": (list | tuple, "a list of grids: [{axes: {...}}, {axes: {...}}]"),
    "search": (Mapping, "a mapping with trials, objective and over"),
    "boundary": (Mapping, "a mapping with response, level and over"),
    "fixed": (Mapping, "knobs with their values"),
}
"""Key -> what it holds, as a type and in words."""
MOST_DIAGRAMS = 1000
"""Cells of the grid that may each have a search or a boundary of its own."""


def space_of(
    knobs: type[TrialKnobs], config: Written, columns: Mapping[str, bool] | None = None
) -> GridPlanner | SearchPlanner | BoundaryPlanner:
    """Return the planner of a space.

    Args:
        knobs: The study's knobs.
        config: Any of `KEYS`; `fixed` has the values of knobs that do not vary, by column name.
        columns: The columns of the study's table of trials -> whether they hold numbers, to check objectives and
            responses; None does not.

    Raises:
        ValueError: Something is unknown, empty or not allowed; the message is one line.
    """
    _refuse_malformed("", config, KEYS)
    search, boundary = map(config.get, PLANNERS)
    if search is not None and boundary is not None:
        raise ValueError("a space has either search or boundary, not both")
    # Searches import Optuna, which a grid has no use for.
    if search is not None:
        from search_spaces.core.search import SearchPlanner
        from search_spaces.core.search_settings import search_settings

        settings = search_settings(knobs, search, columns)
        return SearchPlanner(**_cells(knobs, config, settings.over), settings=settings)
    if boundary is not None:
        from search_spaces.core.boundary import BoundaryPlanner
        from search_spaces.core.boundary_settings import boundary_settings

        sought = boundary_settings(knobs, boundary, columns)
        return BoundaryPlanner(**_cells(knobs, config, sought.over), settings=sought)
    return GridPlanner(grid_of(knobs, config))


def grid_of(knobs: type[TrialKnobs], config: Written) -> Grid | Union:
    """Return the grid that `axes`, `linked`, `computed` and `union` describe, over the values of `fixed`.

    Raises:
        ValueError: The grid is empty, names what is no knob, or has more trials than can be counted.
    """
    _refuse_malformed("", config, KEYS)
    grid = _union(knobs, config) if config.get("union") is not None else _grid(knobs, config)
    if grid.size > sys.maxsize:
        raise ValueError(f"the space has {grid.size:.3g} trials; at most {sys.maxsize:.3g} can be counted")
    return grid


def spoken_of(config: Written) -> set[str]:
    """Return the names of knobs, or of axes that are no knobs, to which a space or a part of one gives values."""
    found: set[str] = set()
    for name, said in config.items():
        if name in ("union", "linked"):
            parts = [part for part in said if isinstance(part, Mapping)] if isinstance(said, list | tuple) else []
            found.update(*(spoken_of(part) if name == "union" else part for part in parts))
        elif isinstance(said, Mapping):
            written = said.get("over") if name in PLANNERS else said if name in GRID_KEYS else None
            found.update(written if isinstance(written, Mapping) else ())
    return found


def without(config: Written, names: Collection[str], knobs: type[TrialKnobs]) -> dict[str, Any]:
    """Return what a space says of all knobs but some, of which somebody else has the say.

    An axis that is no knob goes with the last formula that it served.

    Args:
        config: Any of `KEYS`.
        names: Column names of knobs, or of axes that are no knobs.
        knobs: The study's knobs.

    Raises:
        ValueError: A formula cannot be read.
    """
    kept, formulas = dict(config), config.get("computed")
    if isinstance(formulas, Mapping):
        kept["computed"] = {name: text for name, text in formulas.items() if name not in names}
        served = {of: Formula(of, str(text)).names for of, text in formulas.items()}
        left = {entry.name for entry in knobs.declared()}.union(*(served[of] for of in kept["computed"]))
        names = {*names, *(name for of in served if of in names for name in served[of] - left)}
    if isinstance(written := config.get("axes"), Mapping):
        kept["axes"] = {name: value for name, value in written.items() if name not in names}
    if isinstance(groups := config.get("linked"), list | tuple):
        kept["linked"] = [group for group in (_others(group, names) for group in groups) if group]
    for planner in PLANNERS:
        if isinstance(sought := config.get(planner), Mapping) and isinstance(sought.get("over"), Mapping):
            kept[planner] = {**sought, "over": _others(sought["over"], names)}
    if isinstance(parts := config.get("union"), list | tuple):
        kept["union"] = [without(part, names, knobs) if isinstance(part, Mapping) else part for part in parts]
    return kept


def _others(group: Any, names: Collection[str]) -> Any:
    """Return a group of linked axes without some; what is no such group is left for who reads it to refuse."""
    return {name: value for name, value in group.items() if name not in names} if isinstance(group, Mapping) else group


def _union(knobs: type[TrialKnobs], config: Written) -> Union:
    parts = config["union"]
    if not parts:
        raise ValueError("union has no grids: the space is empty")
    for part in parts:
        if not isinstance(part, Mapping):
            raise ValueError(f"union must be {_FORMS['union'][1]}, got {part!r} in it")
        _refuse_malformed("union.", part, GRID_KEYS)
    return Union([_grid(knobs, _combined(config, part)) for part in parts])


def _combined(config: Written, part: Written) -> dict[str, Any]:
    """Return a grid of the union with the axes beside the union; what the grid says of a knob goes first."""
    return {
        "axes": {**(config.get("axes") or {}), **(part.get("axes") or {})},
        "linked": [*(config.get("linked") or []), *(part.get("linked") or [])],
        "computed": {**(config.get("computed") or {}), **(part.get("computed") or {})},
        "fixed": config.get("fixed") or {},
    }


def _grid(knobs: type[TrialKnobs], config: Written) -> Grid:
    fixed = dict(config.get("fixed") or {})
    axes = {name: axis(name, written) for name, written in (config.get("axes") or {}).items() if written is not None}
    groups = [side_by_side(_linked_axes(group)) for group in config.get("linked") or []]
    formulas = [Formula(name, str(text)) for name, text in (config.get("computed") or {}).items()]
    for name in sorted({*axes, *(name for of in formulas for name in (of.name, *of.names))} & knobs.renamed().keys()):
        raise ValueError(knobs.unknown(name))
    declared = {entry.name: entry.default for entry in knobs.declared()}
    values = {**{name: default for name, default in declared.items() if not _is_missing(default)}, **fixed}
    single, joined = computed(formulas, axes, groups, values, declared)
    varied = {*single, *(name for group in joined for name in group.names)}
    constant = {name: value for name, value in fixed.items() if name not in varied}
    return Grid(knobs=knobs, axes=single, fixed=constant, linked=joined)


def _linked_axes(group: Any) -> dict[str, Axis]:
    if not isinstance(group, Mapping) or not group:
        raise ValueError(f"linked must be {_FORMS['linked'][1]}, got {group!r} in it")
    return {name: axis(name, written) for name, written in group.items()}


def _cells(knobs: type[TrialKnobs], config: Written, over: Collection[str]) -> dict[str, Any]:
    """Return the arguments that a planner with a cell for each combination of the grid takes."""
    axes = dict(config.get("axes") or {})
    written = axes.pop(SEED, None)
    fixed = dict(config.get("fixed") or {})
    seeds = axis(SEED, fixed.get(SEED, 0) if written is None else written)
    others = {name: value for name, value in fixed.items() if name != SEED and name not in over}
    grid = grid_of(knobs, {**config, "axes": axes, "fixed": others})
    names = grid.names
    twice = sorted(set(over) & set(names))
    if twice:
        raise ValueError(f"{twice[0]} is both an axis and searched over")
    if SEED in names:
        raise ValueError("the seeds of a search or a boundary are one axis for all of it: axes.seed")
    if grid.size > MOST_DIAGRAMS:
        raise ValueError(
            f"the grid has {grid.size:,} cells, each with a search of its own; at most {MOST_DIAGRAMS:,} may"
        )
    return {"knobs": knobs, "cells": list(grid.cells()), "fixed": others, "seeds": seeds}


def _is_missing(default: Any) -> bool:
    return not isinstance(default, bool | int | float | str)


def _refuse_malformed(place: str, written: Written, allowed: Collection[str]) -> None:
    """Raise a ValueError for a key that a space does not have, or that does not hold what it must."""
    for name, value in written.items():
        if name not in allowed:
            raise ValueError(f"{place}{name} is unknown; {suggestion(str(name), allowed)}")
        form, described = _FORMS[name]
        if value is not None and not isinstance(value, form):
            raise ValueError(f"{place}{name} must be {described}, got {value!r}")
