"""Does a damped Gauss-Newton step generalise better the more it is damped? Levenberg-Marquardt over the damping.

Each step linearises the network, so that it is one feature update; the damping decides how far it goes along the
tangent features of the moment. The loss is a mean over samples, and the damping is absolute, in units of that mean.

Source: Goldwaser and Ge, arXiv 2211.12345.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from trials.core.context import TrialContext
from trials.core.probes.fit import Fit
from trials.core.rows import Diverged, Row, logarithmic_steps
from trials.core.training.batches import Sees, epochs, everything, seen
from trials.core.training.course import Moment, course
from trials.core.training.plain import Plain
from trials.gauss_newton_damping.damped_training import DampedTraining, damped_training
from trials.gauss_newton_damping.jacobians import flattened
from trials.gauss_newton_damping.knobs import DampingKnobs
from trials.gauss_newton_damping.standing import DIVERGED, RUNNING, Reached, counted
from trials.gauss_newton_damping.step_rules import full_step


class _Here(NamedTuple):
    """How training stands at a moment."""

    fitted: Fit
    reached: Reached
    status: str


def run(knobs: DampingKnobs, context: TrialContext) -> Iterator[Row]:
    """Train, and yield a row at log-spaced steps, where a training loss of `MATCHED_LOSSES` is crossed, and at the end.

    A row at step t describes the network after t steps, and the step that led there.

    Raises:
        Diverged: The training loss is not finite or far too large, or a damped system cannot be solved.
        ValueError: The data do not suit the knobs, or the solver asked for would need too much memory.
    """
    training = damped_training(knobs, context)
    if knobs.first_steps:
        yield from _first_steps(training)
        return
    step, objective = training.step, training.step.objective
    initial_loss = objective.value(training.initial, training.train)
    measured_steps = logarithmic_steps(knobs.steps, knobs.measurements_per_decade)

    @lru_cache(maxsize=1)
    def judged(now: Moment[Plain, Reached]) -> _Here:
        fitted = objective.fit(flattened(now.parameters), training.train)
        reached = now.past.judged(fitted.loss, initial_loss)
        stalled = now.seen is not None and bool(now.seen[1] > 0)
        status = reached.status(fitted.loss, tolerance=knobs.loss_tolerance, stalled=stalled, last=now.last)
        return _Here(fitted, reached, status)

    for now in course(
        (Plain(objective.network.forward, objective.loss), step.beginning(training.initial, knobs.damping)),
        step,
        _sees(knobs, training),
        steps=knobs.steps,
        rows_at=lambda now: True,  # every step is judged; those that say something have a row
        ends_at=lambda now: judged(now).status != RUNNING,
        context=context,
        past=Reached(),
        tally=lambda batch, told: told.notes["sums"],
        sums_at=lambda step: False,
        note=training.noted,
    ):
        fitted, now.past, status = judged(now)
        where = counted(now.step, status)
        if status == DIVERGED:
            yield {**where, **training.method}
            raise Diverged(now.step, f"the training loss is {fitted.loss:.3g}, at first it was {initial_loss:.3g}")
        crossed = now.past.crossed(fitted.loss)
        if now.last or crossed or now.step in measured_steps:
            theta = flattened(now.parameters)
            tested = objective.fit(theta, training.test)
            now.past = now.past.tested(now.step, tested.accuracy, crossed)
            yield {**where, **training.columns(theta, (fitted, tested), now.past, now.seen, now.noted())}


def _first_steps(training: DampedTraining) -> Iterator[Row]:
    """Yield a row for the first step of each searched damping, all of them from one eigendecomposition."""
    step, initial = training.step, training.initial
    around = step.around(initial, training.train, {})
    for damping in step.settings.dampings:
        taken = full_step(around, damping)
        told, theta = step.told(around, taken, initial), initial + taken.displacement
        train, test = (step.objective.fit(theta, examples) for examples in (training.train, training.test))
        columns = training.columns(theta, (train, test), Reached(), told.notes["sums"], training.noted(told))
        yield {**counted(1, RUNNING), **columns}


def _sees(knobs: DampingKnobs, training: DampedTraining) -> Sees:
    samples, device = len(training.train.inputs), training.initial.device
    if not knobs.batch_size:
        return seen(lambda rows: training.train, everything(samples, device))
    return seen(training.train.at, epochs(knobs.seed, samples, knobs.batch_size, device))
