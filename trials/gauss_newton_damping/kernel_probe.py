"""A probe of feature movement: the tangent kernel on a few inputs, against where it began and against the targets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from trials.core.probes.tangent_kernel import centred_alignment, kernel_distance, trace_kernel

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.gauss_newton_damping.objective import CodedExamples, Objective


@dataclass(frozen=True, eq=False)
class KernelProbe:
    """The inputs that a kernel is measured on, and the parameters from which its movement is measured."""

    objective: Objective
    examples: CodedExamples
    initial: Float[Tensor, " p"]

    def measured(self, theta: Float[Tensor, " p"]) -> dict[str, float]:
        """Return `ntk_distance` and `ntk_cka_target` at a point."""
        kernel, targets = self._kernel(theta), self.examples.targets
        by_sample = trace_kernel(kernel, targets.shape[1])
        return {
            "ntk_distance": float(kernel_distance(kernel, self._first)),
            "ntk_cka_target": float(centred_alignment(by_sample, targets @ targets.T)),
        }

    @cached_property
    def _first(self) -> Float[Tensor, "mc mc"]:
        return self._kernel(self.initial)

    def _kernel(self, theta: Float[Tensor, " p"]) -> Float[Tensor, "mc mc"]:
        return self.objective.probed(theta, self.examples.inputs).kernel
