"""Several trials of the study as one: what they see, how they descend, and the closed forms beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trials.core.training.batches import Sees, everything, seen_anew
from trials.multi_view.forecast import Forecast, forecast
from trials.multi_view.fresh_copies import FreshCopies, fresh_copies
from trials.multi_view.noise import Geometry, drawn, geometry
from trials.multi_view.patches import DrawnOnce, patch_set
from trials.multi_view.projections import Projected, ProjectedDescent, begun, joined

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.training.places import Place
    from trials.multi_view.knobs import MultiViewKnobs

_FLAT_BELOW = 0.1  # largest projection at which the closed form is left, at most a fifth of the threshold


@dataclass(frozen=True, eq=False)
class Group:
    """Several trials, a first axis over them in every tensor.

    Attributes:
        knobs: Those of each.
        geometries: Directions of each.
        samples: What steps see.
        descent: How they move.
        told: What the closed forms say.
    """

    knobs: Sequence[MultiViewKnobs]
    geometries: Sequence[Geometry]
    samples: DrawnOnce | FreshCopies
    descent: ProjectedDescent
    told: Forecast

    @property
    def sees(self) -> Sees:
        """Step -> all samples, as it sees them."""
        return seen_anew(lambda step, rows: self.samples.at(step), everything(self.knobs[0].samples))

    @property
    def steps(self) -> Sequence[int]:
        """The last step of each, counted from where the closed form of the flat phase ends."""
        lasts = zip(self.knobs, self.descent.skipped.tolist(), strict=True)
        return [each.steps - skipped for each, skipped in lasts]

    def losses(self, step: int, projected: Projected, place: Place) -> Float[Tensor, " trials"]:
        """Return the mean losses on what a step may see."""
        alignments, passing = self.samples.expected(step)
        return projected.losses(joined(place.point, passing), alignments)

    def only(self, places: Sequence[int]) -> Group:
        """Return some of the trials."""
        chosen = torch.tensor(places, dtype=torch.int64, device=self.descent.rates.device)
        return Group(
            [self.knobs[place] for place in places],
            [self.geometries[place] for place in places],
            self.samples.only(chosen),
            self.descent.only(chosen),
            self.told.only(chosen),
        )


def group_of(knobs: Sequence[MultiViewKnobs], device: torch.device) -> tuple[Group, tuple[Projected, Place]]:
    """Return trials of one shape as a group, what they train, and where they begin."""
    first, sets = knobs[0], [patch_set(each) for each in knobs]
    geometries = [geometry(each.noise, drawn(each)) for each in knobs]
    numbers = [[each.initial_scale, each.learning_rate] for each in knobs]
    scales, rates = torch.tensor(numbers, dtype=torch.float64, device=device).unbind(1)
    projected, place = begun(sets, geometries, scales, first.exponent)
    alignments = torch.stack([each.alignments.movedim(2, 0) for each in sets]).to(device)
    samples: DrawnOnce | FreshCopies = DrawnOnce(alignments)
    if first.draws_every_step:
        samples = fresh_copies(knobs, alignments, scales[:, None] * projected.noise_magnitudes)
    told, skipped = forecast(projected, samples.alignments, place.point), torch.zeros_like(rates, dtype=torch.int64)
    if first.flat_phase == "closed_form":
        # What is passed over is taken to be independent of all else: it must end far below 1.
        flat = told.flat_until(min(_FLAT_BELOW, first.threshold / 5)) / rates
        skipped = flat.clamp(max=first.steps).floor().long()
        place = place._replace(point=told.at(rates * skipped))
    group = Group(knobs, geometries, samples, ProjectedDescent(rates, skipped, first.threshold), told)
    return group, (projected, place)
