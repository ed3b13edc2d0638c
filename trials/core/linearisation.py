"""A network's linearisation in its parameters, and the gradient of a loss of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd import forward_ad

from trials.core.gradients import linearised_gradient, linearised_norms
from trials.core.losses.loss import Loss
from trials.core.networks.chain import Chain
from trials.core.networks.network import Forward
from trials.core.parameters import Parameters, difference
from trials.core.training.batches import Batch
from trials.core.training.slopes import Told, taped, taped_norms

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Linearised:
    """The first-order expansion of a network in its parameters around `anchor`.

    f_lin(x; theta) = f(x; theta_s) + J(x; theta_s) (theta - theta_s), theta_s the anchor.

    Called with the anchor itself, the very same object, it is the network and costs no more: the first step of every
    round is a plain gradient step, and re-anchoring at every step is plain training, at its price and to its last bit.

    Source: Goldwaser and Ge, arXiv 2211.12345; Lee et al., arXiv 1902.06720, section 2.2, equation 3.
    """

    forward: Forward
    anchor: Parameters

    def __call__(self, parameters: Parameters, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch classes"]:
        """Return f_lin at `parameters`."""
        if parameters is self.anchor:
            return self.forward(parameters, inputs)
        return self._displaced(difference(parameters, self.anchor), inputs)

    def with_network(self, parameters: Parameters) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Return what tells f_lin and f at `parameters` of inputs; the two share what they have in common."""
        if parameters is self.anchor:
            return lambda inputs: (self.forward(parameters, inputs),) * 2
        forward, displacement = self.forward, difference(parameters, self.anchor)
        if isinstance(forward, Chain) and not forward.rounds_products:
            return partial(forward.expanded, self.anchor, displacement, parameters)
        return lambda inputs: (self._displaced(displacement, inputs), self.forward(parameters, inputs))

    def slope(self, parameters: Parameters, batch: Batch, loss: Loss, weights: Tensor | None = None) -> Told:
        """Return the gradient of the loss of f_lin on a batch: J^T times the residual at f_lin.

        The displacement enters as the tangent of a forward pass, and the reverse pass runs through that tangent alone.
        The two share one pass at the anchor: five matrix products a layer against the three of a plain step.
        """
        at_anchor = parameters is self.anchor
        displacement = None if at_anchor else difference(parameters, self.anchor)
        if isinstance(self.forward, Chain):
            inputs, targets = batch.shown
            of_outputs = loss.derivative(weights)
            return Told(linearised_gradient(self.forward, self.anchor, displacement, inputs, targets, of_outputs))
        return taped(self.forward if at_anchor else self._displaced, displacement or parameters, batch, loss, weights)

    def norms(self, parameters: Parameters, batch: Batch, loss: Loss) -> Float[Tensor, " batch"]:
        """Return the norm of the gradient of each sample's loss of f_lin."""
        if not isinstance(self.forward, Chain):
            return taped_norms(self._traced, parameters, batch, loss)
        displacement = None if parameters is self.anchor else difference(parameters, self.anchor)
        return linearised_norms(self.forward, self.anchor, displacement, *batch.shown, loss)

    def _traced(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """Return f_lin by forward mode inside `vmap`, which takes no level of dual numbers of its own."""
        displacement = difference(parameters, self.anchor)
        expanded = torch.func.jvp(lambda point: self.forward(point, inputs), (dict(self.anchor),), (displacement,))
        return expanded[0] + expanded[1]

    def _displaced(
        self, displacement: Parameters, inputs: Float[Tensor, "batch ..."]
    ) -> Float[Tensor, "batch classes"]:
        if isinstance(self.forward, Chain):
            return self.forward.displaced(self.anchor, displacement, inputs)
        # torch.func.jvp computes the same at two to three times the overhead, which is what small networks pay.
        load_forward_mode()
        with forward_ad.dual_level():
            dual = {name: forward_ad.make_dual(self.anchor[name], tangent) for name, tangent in displacement.items()}
            outputs, moved = forward_ad.unpack_dual(self.forward(dual, inputs))
        return outputs + moved


def linearised(forward: Forward, anchor: Parameters) -> Linearised:
    """Return the linearisation of `forward` around `anchor`."""
    return Linearised(forward, anchor)


@cache
def load_forward_mode() -> None:
    """Make PyTorch load its forward-mode rules, which warns of a deprecation inside PyTorch the first time."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(()), torch.zeros(()))
