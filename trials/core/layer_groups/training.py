"""Training of layer groups: as a function of what trains, by which steps, and how well a network fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from trials.core.data.examples import Examples
from trials.core.layer_groups.groups import LayerGroups
from trials.core.losses.classification import cross_entropy
from trials.core.losses.loss import Loss
from trials.core.networks.network import Network
from trials.core.parameters import Parameters
from trials.core.probes.fit import Fit, fit
from trials.core.rounds.in_rounds import renewed_every
from trials.core.rounds.round import Problem
from trials.core.training.batches import Batch
from trials.core.training.course import Moment, Trained
from trials.core.training.descent import Descent
from trials.core.training.places import Place
from trials.core.training.plain import Plain
from trials.core.training.rules import Rule, adam, heavy_ball, look_ahead
from trials.core.training.schedules import Schedule
from trials.core.training.slopes import Told

if TYPE_CHECKING:
    from jaxtyping import Float

# `torch.optim` is not taken: building its first optimizer imports a compiler, four seconds in every process.
OPTIMIZERS: Mapping[str, Callable[[float, bool], Rule]] = MappingProxyType(
    {
        "sgd": lambda momentum, nesterov: (look_ahead if nesterov else heavy_ball)(momentum),
        "adamw": lambda momentum, nesterov: adam(momentum),
    }
)
"""Name -> (momentum, whether the gradient looks ahead along it) -> rule."""
DECOUPLED = ("adamw",)
"""Optimizers whose weight decay shrinks the parameters beside the step. Source: arXiv 1711.05101, algorithm 2."""


@dataclass(frozen=True, eq=False)
class GroupsForward:
    """A network in training mode as a function of its trained parameters, of activations after the first `start` parts.

    At its own parameters, the very same mapping, the network itself runs, and its running statistics move. Anywhere
    else (up a slope, on a linearisation) they are read and stay, and attention is computed by plain products, for the
    fused kernels have no forward mode.

    Attributes:
        groups: The network.
        own: Its parameters that train, which a step changes in place.
        start: How many parts inputs have passed already.
        statistics_move: Whether batch normalisation uses batches in training.
    """

    groups: LayerGroups
    own: Parameters
    start: int
    statistics_move: bool

    def __call__(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        if not self.groups.training:
            self.groups.train()
        if parameters is self.own:
            return self.groups(inputs, self.start)
        buffers = {name: each.clone() for name, each in self.groups.named_buffers()} if self.statistics_move else {}
        with sdpa_kernel(SDPBackend.MATH):
            return functional_call(self.groups, {**parameters, **buffers}, (inputs, self.start))


def network_at(now: Moment[Any, Any]) -> LayerGroups:
    """Return the network of a training of layer groups where it is, for whoever measures modules."""
    forward, parameters = now.trained.forward, now.parameters
    if parameters is not forward.own:
        with torch.no_grad():
            for name, value in forward.own.items():
                value.copy_(parameters[name])
    return forward.groups


def of_groups(
    groups: LayerGroups, loss: Loss, rule: Rule, *, start: int = 0, interval: int = 1, damping: float = 0.0
) -> tuple[Trained, Place]:
    """Return what of a network is not frozen as what is trained, and where it is: in place, or on its linearisation.

    Args:
        groups: The network.
        loss: What is minimised.
        rule: What remembers something from step to step.
        start: How many parts inputs have passed already.
        interval: Steps between its linearisations; 1 trains the network itself.
        damping: What draws the parameters to where it was linearised.

    Raises:
        ValueError: Batch normalisation makes the linearisation of a sample depend on its batch.
    """
    own = {name: each for name, each in groups.named_parameters() if each.requires_grad}
    forward = GroupsForward(groups, own, start, groups.train().statistics_move)
    values = {name: value.detach().clone() for name, value in own.items()}
    memory = rule.beginning(values)
    if interval == 1:
        return Plain(forward, loss, dict(groups.named_buffers())), Place(own, memory)
    if forward.statistics_move:
        raise ValueError("batch normalisation by batches leaves no linearisation of a sample: keep its statistics")
    network = Network(shapes={name: tuple(value.shape) for name, value in own.items()}, forward=forward)
    problem = Problem(network=network, loss=loss)
    return renewed_every(interval, problem, Place(values, memory), damping=damping)


def descent(
    optimizer: str = "sgd",
    *,
    learning_rate: float,
    schedule: Schedule = lambda step: 1.0,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Descent:
    """Return how parameters move by one of `OPTIMIZERS`, its learning rate times the schedule's factor."""
    return Descent(
        rule=OPTIMIZERS[optimizer](momentum, nesterov),
        rate=lambda step: learning_rate * schedule(step),
        weight_decay=weight_decay,
        decoupled=optimizer in DECOUPLED,
    )


def fitted(loss: Loss) -> Callable[[Batch, Told], Float[Tensor, " 3"]]:
    """Return what tells of a step the sums of losses, right answers and samples, without waiting for the device."""

    def tally(batch: Batch, told: Told) -> Tensor:
        value, outputs = told.value, told.outputs
        if value is None or outputs is None:
            raise TypeError("the pass of a step tells no outputs of its own")
        right, samples = loss.right(outputs, batch.shown[1]).sum(), value.new_full((), len(batch))
        return torch.stack([value * samples, right.to(value.dtype), samples])

    return tally


def seen_fit(seen: Float[Tensor, " 3"] | None) -> Fit:
    """Return mean loss and accuracy of what `fitted` tells, added up over steps; waits for the device."""
    if seen is None:
        raise TypeError("no step has shown anything")
    loss, right, samples = seen.tolist()
    return Fit(loss / samples, right / samples)


def fit_of(groups: LayerGroups, examples: Examples, loss: Loss = cross_entropy, start: int = 0) -> Fit:
    """Return mean loss and accuracy on activations after the first `start` parts; leaves the network in eval mode."""
    groups.eval()
    return fit(lambda hidden: groups.forward_range(hidden, start), examples, loss)
