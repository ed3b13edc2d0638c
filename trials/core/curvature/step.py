"""The damped Gauss-Newton step of the training core: it takes a point to where a model of the loss is least."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from trials.core.curvature.flat import flattened, unflattened
from trials.core.curvature.objective import Objective, Split
from trials.core.curvature.surroundings import StepSettings, surroundings
from trials.core.training.places import Place
from trials.core.training.slopes import BatchLoss, Told

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.curvature.step_rules import StepRule

_STEP = "step"


@dataclass(frozen=True, eq=False)
class GaussNewton:
    """A damped step on what a batch shows; the damping of the next one, and what adam knows, is its memory.

    Attributes:
        objective: The network and the loss of its outputs.
        settings: How steps are solved.
        rule: How far a step goes, and the next damping.
        floor: Least damping, as a part of the largest curvature.
        forgets: Whether each step begins without what adam knew.
    """

    objective: Objective
    settings: StepSettings
    rule: StepRule
    floor: float = 0.0
    forgets: bool = True

    def beginning(self, damping: float) -> dict[str, dict[str, Tensor]]:
        """Return the memory before the first step."""
        return {"damping": {_STEP: torch.tensor(damping, dtype=torch.float64)}, "inner": {}}

    def __call__(self, loss: BatchLoss, place: Place, step: int) -> tuple[Place, Told]:
        """Return the place after a step; what is told has the step itself in its notes."""
        theta, inner = flattened(place.point), {} if self.forgets else place.memory["inner"]
        settings = replace(self.settings, inner=replace(self.settings.inner, memory=inner))
        around = surroundings(self.objective, theta, Split(*loss.batch.shown), settings)
        damping = max(float(place.memory["damping"][_STEP]), self.floor * around.largest_curvature)
        taken = self.rule(around, damping)
        shapes = self.objective.network.shapes
        point = unflattened(theta + taken.displacement, shapes)
        after = {
            "damping": {_STEP: torch.tensor(taken.next_damping, dtype=torch.float64)},
            "inner": taken.solution.memory,
        }
        told = Told(unflattened(around.gradient, shapes), notes={"around": around, "taken": taken, "theta": theta})
        return Place(point, after), told
