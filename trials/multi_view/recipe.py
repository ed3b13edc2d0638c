"""Which feature does gradient descent learn first: the good ones, the noise of each sample, or a spurious one?

A patchwise network is trained by full-batch gradient descent on a model of patches whose features have a frequency and
a magnitude, and everything has a closed form beside it. Frequency times magnitude^q decides who wins, q being the
exponent of the activation; augmentation changes frequencies, pretraining magnitudes.

Many trials train at once in one process (`run_many`): what they cost alone is almost all the time of its calls.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572, for the model, the growth law and the effect of augmentation; the
importance ratio, the boundaries and the protocol's numbers are derived or chosen here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from trials.core.context import Together
from trials.core.rows import logarithmic_steps
from trials.core.streams import generator
from trials.core.training.course import course
from trials.core.training.together import courses
from trials.multi_view.forecast import arrival_columns, fit_columns, growth_columns
from trials.multi_view.fresh_samples import fresh_factor, fresh_noise, test_columns
from trials.multi_view.group import Group, group_of
from trials.multi_view.knobs import MultiViewKnobs, noise_magnitudes
from trials.multi_view.noise import drawn
from trials.multi_view.patches import activation
from trials.multi_view.projections import Projected, joined

if TYPE_CHECKING:
    from trials.core.context import TrialContext
    from trials.core.rows import Row, Value
    from trials.core.training.course import Moment
    from trials.core.training.together import Moments

    _Now = Moment[Projected, None] | Moments[Projected, None]

_CHECKED_EVERY = 10  # steps between looks at the loss


def run(knobs: MultiViewKnobs, context: TrialContext) -> Iterator[Row]:
    """Train until the loss is small, and yield a row for each view at log-spaced steps, the first and last included.

    Where the closed form takes the place of the flat phase, rows begin at its end: the steps from there are log-spaced.
    """
    group, begun = group_of([knobs], context.device)
    measured = logarithmic_steps(knobs.steps, knobs.measurements_per_decade)
    for now in course(
        begun,
        group.descent,
        group.sees,
        steps=group.steps[0],
        rows_at=lambda now: now.last or now.step in measured,
        ends_at=lambda now: bool(_at_target(group, now)),
        context=context,
        past=None,
    ):
        for _, row in _rows(group, now, [now.last]):
            yield row


def run_many(knobs: Sequence[MultiViewKnobs], context: TrialContext) -> Iterator[tuple[int, Row]]:
    """Train several at once; their knobs are alike in all that `_alike` returns."""
    group, begun = group_of(knobs, context.device)
    measured = logarithmic_steps(knobs[0].steps, knobs[0].measurements_per_decade)
    of = lru_cache(maxsize=2)(group.only)

    def shown(now: Moments[Projected, None]) -> Sequence[int]:
        places = range(len(now.lanes))
        return places if now.step in measured else [place for place in places if now.lanes[place] in now.ending]

    for now in courses(
        begun,
        lambda lanes: of(tuple(lanes)).descent,
        lambda lanes: of(tuple(lanes)).sees,
        steps=group.steps,
        rows_at=shown,
        ends_at=lambda now: _at_target(of(tuple(now.lanes)), now),
        past=[None] * len(knobs),
    ):
        for place, row in _rows(of(tuple(now.lanes)), now, [lane in now.ending for lane in now.lanes]):
            yield now.lanes[place], row


def _at_target(group: Group, now: _Now) -> Sequence[int]:
    """Return the places of the trials whose loss has come to its target, every tenth step."""
    if now.step % _CHECKED_EVERY:
        return []
    losses = group.losses(now.step, now.trained, now.place)
    targets = losses.new_tensor([each.target_loss for each in group.knobs])
    places: Sequence[int] = (losses < targets).nonzero()[:, 0].tolist()
    return places


def _rows(group: Group, now: _Now, ended: Sequence[bool]) -> Iterator[tuple[int, Row]]:
    """Yield the rows of every trial, a view each; those that have ended are tested."""
    views, descent, (alignments, passing) = group.knobs[0].views, group.descent, group.samples.expected(now.step)
    times, point = descent.times(now.step), now.place.point
    columns = {
        "time": times,
        **fit_columns(now.trained.forward(joined(point, passing), alignments)),
        **growth_columns(point, group.told, times, views),
        **arrival_columns(descent.reached(now.place, now.step), group.told, descent.threshold, views),
    }
    values = {name: column.tolist() for name, column in columns.items()}
    for place, skipped in enumerate(descent.skipped.tolist()):
        row, step = {name: column[place] for name, column in values.items()}, skipped + now.step
        if ended[place]:
            row |= {**_outcome(group, now, place), "steps_run": step}
        for view in range(views):
            yield place, {"step": step, "view": view + 1, **{name: _of_view(row[name], view) for name in row}}


def _outcome(group: Group, now: _Now, place: int) -> dict[str, Any]:
    """Return the columns that only the last rows have."""
    chosen = torch.tensor([place], device=group.descent.rates.device)
    one, trained, at = group.only([place]), now.trained.only(chosen), now.place.only(chosen)
    knobs, overlaps = one.knobs[0], one.knobs[0].test_noise_overlaps
    ends = one.told.start, at.point
    factor = fresh_factor(one.geometries[0], trained, *ends, knobs.initial_scale, knobs.dimension, overlaps=overlaps)
    noise = fresh_noise(factor, noise_magnitudes(knobs), knobs.test_samples, generator(knobs.seed, "test"))
    features = at.point["features"][0].cpu()
    outputs = activation(features, knobs.exponent).sum(0).tolist()
    return {
        **test_columns(features, noise, knobs.views, knobs.exponent),
        "psi_true": outputs[0],
        "psi_spurious": outputs[knobs.views] if knobs.has_spurious else None,
        "stopped_by": "loss" if float(one.losses(now.step, trained, at)) < knobs.target_loss else "steps",
    }


def _of_view(value: Any, view: int) -> Value:
    """Return the value of one view, None where there is none."""
    chosen = value[view] if isinstance(value, list) else value
    return None if isinstance(chosen, float) and math.isnan(chosen) else chosen


def _alike(knobs: MultiViewKnobs) -> Hashable:
    """Return what decides the shapes and the code of a training; normal noise also shares its directions."""
    course = (knobs.flat_phase, knobs.steps, knobs.threshold, knobs.measurements_per_decade)
    shapes = (knobs.exponent, knobs.channels, knobs.views, knobs.shape, knobs.samples, knobs.noise)
    passing = (knobs.augmentation, knobs.copies) if knobs.draws_every_step else None
    return (*course, *shapes, passing, drawn(knobs) if knobs.noise == "gaussian" else None)


TOGETHER = Together(run=run_many, key=_alike, most=64, tolerance=1e-11)
"""Trials train together where their tensors have one shape: all but two or three axes of a diagram are of numbers."""
