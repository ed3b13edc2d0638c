"""Which feature does gradient descent learn first: the good ones, the noise of each sample, or a spurious one?

A patchwise network is trained by full-batch gradient descent on a model of patches whose features have a frequency and
a magnitude, and everything has a closed form beside it. Frequency times magnitude^q decides who wins, q being the
exponent of the activation; augmentation changes frequencies, pretraining magnitudes.

Many trials train at once in one process (`run_many`): what they cost alone is almost all the time of its calls.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572, for the model, the growth law and the effect of augmentation; the
importance ratio, the boundaries and the protocol's numbers are derived or chosen here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from trials.core.feature_learning.course import arrival_columns, fit_columns, growth_columns
from trials.core.feature_learning.fresh_copies import fresh_copies
from trials.core.feature_learning.fresh_samples import fresh_factor, fresh_noise, test_columns
from trials.core.feature_learning.noise import NOISES, Drawn, Geometry, geometry
from trials.core.feature_learning.patch_data import PatchKnobs, largest_magnitude, noise_magnitudes, patch_set
from trials.core.feature_learning.patchwise import EXPONENTS, activation
from trials.core.feature_learning.projections import stacked
from trials.core.feature_learning.trainings import Trainings, begun, past_flat_phase
from trials.core.knobs import knob
from trials.core.rows import Diverged, Measurement, Row, Value
from trials.core.schedule import logarithmic_steps
from trials.core.streams import generator
from trials.core.together import Together

if TYPE_CHECKING:
    from trials.core.context import TrialContext

FLAT_PHASES = ("steps", "closed_form")
# Relative growth of the noise in a step, at a projection of 1, beyond which discrete steps overshoot. At q = 4 a flat
# phase of 1e5 units of time needs long steps, and only the last of them before 1 are as coarse.
LARGEST_GROWTH: Mapping[int, float] = MappingProxyType({1: math.inf, 2: 0.1, 3: 0.1, 4: 1.0})
_FLAT_BELOW = 0.1  # largest projection at which the closed form is left, at most a fifth of the threshold
_CHECKED_EVERY = 10  # steps between looks at the loss
_RATES: Mapping[int, float] = MappingProxyType({1: 0.02, 2: 0.2, 3: 1.0, 4: 20.0})


@dataclass(frozen=True, kw_only=True)
class MultiViewKnobs(PatchKnobs):
    """All that decides the outcome of one training.

    Raises:
        ValueError: Noise has no room, steps overshoot, or what was asked for has no closed form.
    """

    exponent: int = knob("power of the activation near 0 (q): 1 is a linear network", 3, choices=EXPONENTS)
    channels: int = knob("units that look at every patch (C)", 8, unit="units", at_least=1)
    initial_scale: float = knob("standard deviation of the first weights (sigma_0)", 0.01, above=0)
    noise: str = knob("how noise patches lie to each other and to the features", "orthonormal", choices=tuple(NOISES))
    dimension: int = knob("entries of a patch (d)", 2000, at_least=2)
    steps: int = knob("gradient steps at most", 40_000, unit="steps", at_least=1)
    target_loss: float = knob("training loss at which training ends", 0.01, unit="nats", above=0)
    learning_rate_factor: float = knob("step length relative to the rule for this exponent and magnitude", 1.0, above=0)
    flat_phase: str = knob("how the time before anything is learned passes", "steps", choices=FLAT_PHASES)
    threshold: float = knob("projection from which a feature counts as learned", 0.5, above=0, at_most=1)
    test_samples: int = knob("fresh samples of each kind", 2000, unit="samples", at_least=1)
    test_noise_overlaps: bool = knob("whether fresh noise is normal where the training set's is orthonormal", False)
    measurements_per_decade: int = knob("measured steps a factor of ten in steps", 6, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        draws = self.shape.draws + self.passing_draws * self.steps
        directions = self.shape.features + self.shape.noises * draws
        if self.noise == "orthonormal" and self.dimension < directions:
            raise ValueError(f"dimension={self.dimension} has no room for {directions} orthonormal directions")
        if self.dimension < self.shape.features:
            raise ValueError(f"dimension={self.dimension} has no room for {self.shape.features} orthonormal features")
        if self.flat_phase == "closed_form" and self.noise != "orthonormal":
            raise ValueError(f"flat_phase=closed_form needs noise=orthonormal, got noise={self.noise}")
        if self.flat_phase == "closed_form" and self.draws_every_step:
            raise ValueError("flat_phase=closed_form needs augmentation_draws=once, got every_step")
        if self.noise != "orthonormal" and self.passing_draws:  # overlaps with all noise ever drawn would matter
            raise ValueError(f"augmentation_draws=every_step with new noise needs noise=orthonormal, got {self.noise}")
        if self.test_noise_overlaps and (self.noise != "orthonormal" or self.passing_draws):
            raise ValueError("test_noise_overlaps needs noise=orthonormal, drawn once")
        largest = self._stable_rate / self._rule
        if self.learning_rate_factor > largest:
            raise ValueError(
                f"learning_rate_factor={self.learning_rate_factor:g} overshoots: at most {largest:.4g} for "
                f"exponent={self.exponent}, samples={self.samples} and this noise"
            )

    @property
    def learning_rate(self) -> float:
        """Step length along the gradient, the same for every augmentation."""
        return self.learning_rate_factor * self._rule

    @property
    def _rule(self) -> float:
        by_magnitude = _RATES[self.exponent] / max(1.0, largest_magnitude(self) ** 2 / 5)
        return min(by_magnitude, self._stable_rate)

    @property
    def _stable_rate(self) -> float:
        growth = self.noise_magnitude**2 * self.noise_scale**2 * (self.exponent - 1) / self.samples
        return LARGEST_GROWTH[self.exponent] / growth if growth else math.inf


_TIME = "learning rate x steps"
_LARGEST = "largest over the channels"

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "view": Measurement(meaning="the view that the columns of views are of, from 1", type=int, inner_axis=True),
        "time": Measurement(meaning="time of the row's step", unit=_TIME),
        "train_loss": Measurement(meaning="mean logistic loss of the training samples", unit="nats"),
        "train_acc": Measurement(meaning="share of the training samples that are classified"),
        "mean_g": Measurement(meaning="mean weight of a training sample, 1/2 while nothing is fitted"),
        "proj_view_max": Measurement(meaning=f"projection on the view's patch, {_LARGEST}"),
        "proj_spurious_max": Measurement(meaning=f"projection on the spurious patch, {_LARGEST}"),
        "proj_noise_max_median": Measurement(meaning=f"projection on a sample's own noise, {_LARGEST}: median"),
        "proj_noise_max_q10": Measurement(meaning=f"projection on a sample's own noise, {_LARGEST}: 0.1 quantile"),
        "proj_noise_max_q90": Measurement(meaning=f"projection on a sample's own noise, {_LARGEST}: 0.9 quantile"),
        "ode_view_pred": Measurement(meaning="proj_view_max as the closed form of the flat phase has it"),
        "ode_noise_pred": Measurement(meaning="proj_noise_max_median as the closed form of the flat phase has it"),
        "ode_rel_err_view": Measurement(meaning="relative error of ode_view_pred while it is below 0.5"),
        "ode_rel_err_noise": Measurement(meaning="relative error of ode_noise_pred while it is below 0.5"),
        "time_view_half": Measurement(meaning="time at which proj_view_max reached the threshold, or inf", unit=_TIME),
        "time_view_half_pred": Measurement(meaning="time_view_half as the closed form has it", unit=_TIME),
        "time_noise_half_median": Measurement(
            meaning="median over samples of when the noise's largest projection reached the threshold, or inf",
            unit=_TIME,
        ),
        "time_noise_half_median_pred": Measurement(meaning="the same as the closed form has it", unit=_TIME),
        "time_spurious_half": Measurement(
            meaning="time at which proj_spurious_max reached the threshold, or inf", unit=_TIME
        ),
        "time_spurious_half_pred": Measurement(meaning="time_spurious_half as the closed form has it", unit=_TIME),
        "importance_ratio": Measurement(meaning="score of the view over that of a sample's noise: n rho m^q / sigma^q"),
        "test_acc_view": Measurement(meaning="accuracy on fresh samples of the view; at the end only, as all test_*"),
        "test_acc_common": Measurement(meaning="accuracy on fresh samples of the first view"),
        "test_acc_rare_mean": Measurement(meaning="accuracy on fresh samples of the other views, their mean"),
        "worst_view_acc": Measurement(meaning="accuracy on fresh samples of the worst view"),
        "majority_acc": Measurement(meaning="accuracy on fresh samples whose spurious feature is right"),
        "minority_acc": Measurement(meaning="accuracy on fresh samples whose spurious feature is wrong"),
        "psi_true": Measurement(meaning="output that the first view alone gives"),
        "psi_spurious": Measurement(meaning="output that the spurious feature alone gives"),
        "steps_run": Measurement(meaning="steps when training ended", unit="steps", type=int),
        "stopped_by": Measurement(meaning="what ended training: the loss or the steps", type=str),
    }
)


def run(knobs: MultiViewKnobs, context: TrialContext) -> Iterator[Row]:
    """Train until the loss is small, and yield a row for each view at log-spaced steps, the first and last included.

    Where the closed form takes the place of the flat phase, rows begin at its end: the steps from there are log-spaced.
    """
    for _, row in run_many([knobs], context):
        if isinstance(row, Diverged):
            raise row
        yield row


def run_many(knobs: Sequence[MultiViewKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
    """Train several at once; their knobs are alike in all that `_alike` returns."""
    first = knobs[0]
    geometries = [geometry(each.noise, drawn(each)) for each in knobs]
    sets = [patch_set(each) for each in knobs]
    rates, scales = [each.learning_rate for each in knobs], [each.initial_scale for each in knobs]
    descent, start = stacked(sets, geometries, scales, rates, first.exponent, context.device)
    trainings = begun(descent, start, first.threshold, fresh_copies(knobs, scales, descent))
    if first.flat_phase == "closed_form":
        trainings = past_flat_phase(trainings, min(_FLAT_BELOW, first.threshold / 5), first.steps)

    measured = logarithmic_steps(first.steps, first.measurements_per_decade)
    targets = torch.tensor([each.target_loss for each in knobs], dtype=torch.float64, device=context.device)
    for step in itertools.count():
        trainings = trainings.noted()
        ended = trainings.steps == first.steps
        if step % _CHECKED_EVERY == 0:
            ended |= trainings.losses < targets[trainings.indices]
        shown = torch.ones_like(ended) if step in measured else ended
        if shown.any():
            yield from _rows(trainings.where(shown), ended[shown].tolist(), knobs, geometries)
        if ended.all():
            return
        trainings = (trainings.where(~ended) if ended.any() else trainings).stepped()


def _rows(
    trainings: Trainings, ended: Sequence[bool], knobs: Sequence[MultiViewKnobs], geometries: Sequence[Geometry]
) -> Iterator[tuple[int, Row]]:
    """Yield the rows of every training, a view each; those that have ended are tested."""
    views = knobs[0].views
    columns = {
        "time": trainings.times,
        **fit_columns(*trainings.present),
        **growth_columns(trainings.at, trainings.told, trainings.times, views),
        **arrival_columns(trainings.reached, trainings.told, trainings.threshold, views),
    }
    values = {name: column.tolist() for name, column in columns.items()}
    for place, (index, step) in enumerate(zip(trainings.indices.tolist(), trainings.steps.tolist(), strict=True)):
        row = {name: column[place] for name, column in values.items()}
        if ended[place]:
            row |= _outcome(trainings.one(place), knobs[index], geometries[index])
        for view in range(views):
            yield index, {"step": step, "view": view + 1, **{name: _of_view(row[name], view) for name in row}}


def _outcome(training: Trainings, knobs: MultiViewKnobs, directions: Geometry) -> dict[str, Any]:
    """Return the columns that only the last rows have."""
    overlaps = knobs.test_noise_overlaps
    factor = fresh_factor(directions, training, knobs.initial_scale, knobs.dimension, overlaps=overlaps)
    noise = fresh_noise(factor, noise_magnitudes(knobs), knobs.test_samples, generator(knobs.seed, "test"))
    features = training.at.features[0].cpu()
    step, loss = int(training.steps[0]), float(training.losses[0])
    outputs = activation(features, knobs.exponent).sum(0).tolist()
    return {
        **test_columns(features, noise, knobs.views, knobs.exponent),
        "psi_true": outputs[0],
        "psi_spurious": outputs[knobs.views] if knobs.has_spurious else None,
        "steps_run": step,
        "stopped_by": "loss" if loss < knobs.target_loss else "steps",
    }


def _of_view(value: Any, view: int) -> Value:
    """Return the value of one view, None where there is none."""
    chosen = value[view] if isinstance(value, list) else value
    return None if isinstance(chosen, float) and math.isnan(chosen) else chosen


def drawn(knobs: MultiViewKnobs) -> Drawn:
    """Return what decides the directions and the first weights of a trial."""
    return Drawn(knobs.seed, knobs.channels, knobs.dimension, knobs.samples, knobs.shape)


def _alike(knobs: MultiViewKnobs) -> Hashable:
    """Return what decides the shapes and the code of a training; normal noise also shares its directions."""
    course = (knobs.flat_phase, knobs.steps, knobs.threshold, knobs.measurements_per_decade)
    shapes = (knobs.exponent, knobs.channels, knobs.views, knobs.shape, knobs.samples, knobs.noise)
    passing = (knobs.augmentation, knobs.copies) if knobs.draws_every_step else None
    return (*course, *shapes, passing, drawn(knobs) if knobs.noise == "gaussian" else None)


TOGETHER = Together(run=run_many, key=_alike, most=64, tolerance=1e-11)
"""Trials train together where their tensors have one shape: all but two or three axes of a diagram are of numbers."""
