"""The objective of a training by curvature: a network, a loss of its outputs, and examples with targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from trials.core.curvature.flat import flattened, unflattened
from trials.core.curvature.jacobians import dense_jacobian, matrix_free_jacobian
from trials.core.curvature.output_losses import right_answers
from trials.core.linearisation import linearised

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.curvature.jacobians import Jacobian
    from trials.core.curvature.output_losses import OutputLoss
    from trials.core.networks.network import Network

_CHUNK = 1000  # samples a pass where only outputs are wanted


class Split(NamedTuple):
    """Examples with the outputs that they should have."""

    inputs: Float[Tensor, "n ..."]
    targets: Float[Tensor, "n c"]

    def at(self, indices: Int64[Tensor, " m"]) -> Split:
        """Return some of the examples."""
        return Split(self.inputs[indices], self.targets[indices])


class Fit(NamedTuple):
    """Mean loss and fraction of right answers."""

    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective:
    """What is minimised, as a function of the parameters as one vector.

    Attributes:
        network: The network.
        loss: The loss of its outputs.
        jacobian: (network, theta, inputs) -> the Jacobian there.
    """

    network: Network
    loss: OutputLoss
    jacobian: Callable[[Network, Tensor, Tensor], Jacobian]

    def initial(self, generator: torch.Generator, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, " p"]:
        """Return parameters drawn from a generator, on the device and in the precision of the inputs."""
        return flattened(self.network.initial(generator)).to(inputs)

    def outputs(self, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n c"]:
        """Return the network's outputs."""
        return self.network.forward(unflattened(theta, self.network.shapes), inputs)

    def value(self, theta: Float[Tensor, " p"], split: Split) -> float:
        """Return the mean loss."""
        return float(self.loss.mean(self._in_chunks(lambda inputs: self.outputs(theta, inputs), split), split.targets))

    def fit(self, theta: Float[Tensor, " p"], split: Split) -> Fit:
        """Return how well the network fits."""
        return self._fit(lambda inputs: self.outputs(theta, inputs), split)

    def linearised_fit(self, anchor: Float[Tensor, " p"], theta: Float[Tensor, " p"], split: Split) -> Fit:
        """Return how well the network's linearisation around `anchor` fits at `theta`."""
        shapes = self.network.shapes
        model = linearised(self.network.forward, unflattened(anchor, shapes))
        return self._fit(lambda inputs: model(unflattened(theta, shapes), inputs), split)

    def probed(self, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]) -> Jacobian:
        """Return the Jacobian on a few inputs, by the closed form or as a matrix: what its kernel wants."""
        build = dense_jacobian if self.jacobian is matrix_free_jacobian else self.jacobian
        return build(self.network, theta, inputs)

    def _fit(self, function: Callable[[Tensor], Tensor], split: Split) -> Fit:
        outputs = self._in_chunks(function, split)
        right = right_answers(outputs, split.targets).to(outputs.dtype).mean()
        return Fit(float(self.loss.mean(outputs, split.targets)), float(right))

    def _in_chunks(self, function: Callable[[Tensor], Tensor], split: Split) -> Float[Tensor, "n c"]:
        with torch.no_grad():
            return torch.cat([function(inputs) for inputs in split.inputs.split(_CHUNK)])
