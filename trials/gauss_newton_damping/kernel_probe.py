"""A probe of feature movement: the tangent kernel on a few inputs, against where it began and against the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials.core.probes.tangent_kernel import centred_alignment, kernel_distance, trace_kernel

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.gauss_newton_damping.objective import CodedExamples, Objective


@dataclass(frozen=True, eq=False)
class KernelProbe:
    """The inputs that a kernel is measured on, and their kernel at initialisation."""

    objective: Objective
    examples: CodedExamples
    initial: Float[Tensor, "mc mc"]

    def measured(self, theta: Float[Tensor, " p"]) -> dict[str, float]:
        """Return `ntk_distance` and `ntk_cka_target` at a point."""
        kernel = _kernel(self.objective, theta, self.examples)
        targets = self.examples.targets
        by_sample = trace_kernel(kernel, targets.shape[1])
        return {
            "ntk_distance": float(kernel_distance(kernel, self.initial)),
            "ntk_cka_target": float(centred_alignment(by_sample, targets @ targets.T)),
        }


def kernel_probe(objective: Objective, initial: Float[Tensor, " p"], examples: CodedExamples) -> KernelProbe:
    """Return the probe that measures movement from `initial`."""
    return KernelProbe(objective, examples, _kernel(objective, initial, examples))


def _kernel(objective: Objective, theta: Tensor, examples: CodedExamples) -> Float[Tensor, "mc mc"]:
    return objective.probed(theta, examples.inputs).kernel()
