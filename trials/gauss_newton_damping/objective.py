"""The objective of a training by curvature: a network, a loss of its outputs, and examples with targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from trials.core.linearisation import linearised
from trials.core.probes.fit import Fit
from trials.gauss_newton_damping.flat import unflattened
from trials.gauss_newton_damping.jacobians import dense_jacobian, matrix_free_jacobian

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.losses.loss import Loss
    from trials.core.networks.network import Network
    from trials.gauss_newton_damping.jacobians import Jacobian

_CHUNK = 1000  # samples a pass where only outputs are wanted


class CodedExamples(NamedTuple):
    """Examples with the outputs that they should have."""

    inputs: Float[Tensor, "n ..."]
    targets: Float[Tensor, "n c"]

    def at(self, indices: Int64[Tensor, " m"]) -> CodedExamples:
        """Return some of the examples."""
        return CodedExamples(self.inputs[indices], self.targets[indices])


def one_hot(labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "n classes"]:
    """Return targets with one output a class, 1 at the label and 0 elsewhere."""
    return functional.one_hot(labels, classes).to(torch.float64)


def signs(labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "n 1"]:
    """Return targets with one output, -1 for the first of two classes and +1 for the second.

    Raises:
        ValueError: There are not two classes.
    """
    if classes != 2:
        raise ValueError(f"target_coding=sign needs two classes, the data have {classes}")
    return (2.0 * labels - 1)[:, None].to(torch.float64)


CODINGS: Mapping[str, Callable[[Tensor, int], Tensor]] = MappingProxyType({"one_hot": one_hot, "sign": signs})


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective:
    """What is minimised, as a function of the parameters as one vector.

    Attributes:
        network: The network.
        loss: The loss of its outputs.
        jacobian: (network, theta, inputs) -> the Jacobian there.
    """

    network: Network
    loss: Loss
    jacobian: Callable[[Network, Tensor, Tensor], Jacobian]

    def outputs(self, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n c"]:
        """Return the network's outputs."""
        return self.network.forward(unflattened(theta, self.network.shapes), inputs)

    def value(self, theta: Float[Tensor, " p"], examples: CodedExamples) -> float:
        """Return the mean loss."""
        outputs = self._in_chunks(lambda inputs: self.outputs(theta, inputs), examples)
        return float(self.loss.mean(outputs, examples.targets))

    def fit(self, theta: Float[Tensor, " p"], examples: CodedExamples) -> Fit:
        """Return how well the network fits."""
        return self._fit(lambda inputs: self.outputs(theta, inputs), examples)

    def linearised_fit(self, anchor: Float[Tensor, " p"], theta: Float[Tensor, " p"], examples: CodedExamples) -> Fit:
        """Return how well the network's linearisation around `anchor` fits at `theta`."""
        shapes = self.network.shapes
        model = linearised(self.network.forward, unflattened(anchor, shapes))
        return self._fit(lambda inputs: model(unflattened(theta, shapes), inputs), examples)

    def probed(self, theta: Float[Tensor, " p"], inputs: Float[Tensor, "n ..."]) -> Jacobian:
        """Return the Jacobian on a few inputs, by the closed form or as a matrix: what its kernel wants."""
        build = dense_jacobian if self.jacobian is matrix_free_jacobian else self.jacobian
        return build(self.network, theta, inputs)

    def _fit(self, function: Callable[[Tensor], Tensor], examples: CodedExamples) -> Fit:
        outputs = self._in_chunks(function, examples)
        right = self.loss.right(outputs, examples.targets).to(outputs.dtype).mean()
        return Fit(float(self.loss.mean(outputs, examples.targets)), float(right))

    def _in_chunks(self, function: Callable[[Tensor], Tensor], examples: CodedExamples) -> Float[Tensor, "n c"]:
        with torch.no_grad():
            return torch.cat([function(inputs) for inputs in examples.inputs.split(_CHUNK)])
