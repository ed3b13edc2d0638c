"""A probe of feature movement: the tangent kernel on a few inputs, against where it began and against the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials.core.probes.tangent_kernel import centred_alignment, kernel_distance, trace_kernel
from trials.core.rows import Measurement

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.curvature.objective import Objective, Split


KERNEL_MEASUREMENTS = {
    "ntk_distance": Measurement(meaning="1 - cosine of the tangent kernels now and at initialisation, on the probe"),
    "ntk_cka_target": Measurement(meaning="cosine of the centred tangent kernel and that of the targets, on the probe"),
}


@dataclass(frozen=True, eq=False)
class KernelProbe:
    """The inputs that a kernel is measured on, and their kernel at initialisation."""

    objective: Objective
    examples: Split
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


def kernel_probe(objective: Objective, initial: Float[Tensor, " p"], examples: Split) -> KernelProbe:
    """Return the probe that measures movement from `initial`."""
    return KernelProbe(objective, examples, _kernel(objective, initial, examples))


def _kernel(objective: Objective, theta: Tensor, examples: Split) -> Float[Tensor, "mc mc"]:
    return objective.probed(theta, examples.inputs).kernel()
