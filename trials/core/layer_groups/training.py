"""Training of layer groups: one step, a measurement, and what of them a checkpoint holds.

A network in training changes in place. All that changes is its parameters, its buffers and the optimiser's memory;
`state_of` returns them. A step reads nothing else but its arguments, so that the batches, their augmentation and the
schedule are functions of the step that the recipe hands in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from trials.core.losses.classification import cross_entropy
from trials.core.optimisers.rules import adam, heavy_ball, look_ahead
from trials.core.probes.fit import Fit, fit

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.data.examples import Examples
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.layer_groups.schedules import Schedule
    from trials.core.losses.classification import Loss
    from trials.core.optimisers.rules import Memory, Rule
    from trials.core.parameters import Parameters


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How the trainable parameters move.

    Attributes:
        optimiser: One of `OPTIMISERS`.
        learning_rate: Step length where the schedule's factor is 1.
        schedule: Step -> factor of the learning rate.
        momentum: Share of the last step kept; sgd only.
        nesterov: Whether the gradient looks ahead along the momentum; sgd only.
        weight_decay: Multiple of the parameters added to the gradient by sgd, taken off beside it by adamw.
        loss: Mean loss of (outputs, labels).
    """

    optimiser: str = "sgd"
    learning_rate: float
    schedule: Schedule = lambda step: 1.0
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    loss: Loss = cross_entropy

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.learning_rate * self.schedule(step)


# `torch.optim` is not taken: building its first optimiser imports a compiler, four seconds in every process.
OPTIMISERS: Mapping[str, Callable[[Descent], Rule]] = MappingProxyType(
    {
        "sgd": lambda descent: (look_ahead if descent.nesterov else heavy_ball)(descent.momentum),
        "adamw": lambda descent: adam(descent.momentum),
    }
)
DECOUPLED = ("adamw",)
"""Optimisers whose weight decay shrinks the parameters beside the step. Source: arXiv 1711.05101, algorithm 2."""


@dataclass
class Optimiser:
    """The parameters that train, which change in place, their last gradient and what the rule remembers of others."""

    tensors: Parameters
    rule: Rule
    memory: Memory
    gradient: Parameters | None = None


def label_smoothed(share: float) -> Loss:
    """Return cross-entropy against labels of which `share` is spread evenly over the classes."""
    return lambda outputs, labels: functional.cross_entropy(outputs, labels, label_smoothing=share)


def optimiser_of(groups: LayerGroups, descent: Descent) -> Optimiser:
    """Return an optimiser that knows the trainable parameters only: weight decay would move frozen ones."""
    tensors = {name: value for name, value in groups.named_parameters() if value.requires_grad}
    rule = OPTIMISERS[descent.optimiser](descent)
    return Optimiser(tensors, rule, rule.beginning({name: value.detach() for name, value in tensors.items()}))


def train_step(
    groups: LayerGroups,
    optimiser: Optimiser,
    descent: Descent,
    step: int,
    batch: tuple[Tensor, Tensor],
    start: int = 0,
) -> Float[Tensor, " 3"]:
    """Change the network by one step and return what the batch showed before it, without waiting for the device.

    Args:
        groups: The network; its frozen parts stay in eval mode.
        optimiser: Of the same descent.
        descent: How parameters move.
        step: Which step, for the schedule.
        batch: Activations after the first `start` parts, and labels (batch,) or distributions (batch, classes).
        start: How many parts the inputs have passed already; see `prefix`.

    Returns:
        The sum of the loss, the number of right answers and the number of samples.
    """
    hidden, labels = batch
    groups.train()
    outputs = groups.forward_range(hidden, start)
    loss = descent.loss(outputs, labels)
    gradients = torch.autograd.grad(loss, list(optimiser.tensors.values()))
    optimiser.gradient = dict(zip(optimiser.tensors, gradients, strict=True))
    _move(optimiser, descent, descent.rate(step), optimiser.gradient)
    right = (outputs.detach().argmax(1) == _most_likely(labels)).sum()
    samples = loss.new_full((), len(labels))
    return torch.stack([loss.detach() * samples, right.to(loss.dtype), samples])


def _move(optimiser: Optimiser, descent: Descent, rate: float, gradient: Parameters) -> None:
    """Change the parameters by one step of length `rate` and the memory with them."""
    decoupled, decay = descent.optimiser in DECOUPLED, descent.weight_decay
    with torch.no_grad():
        if decay and decoupled:
            for value in optimiser.tensors.values():
                value.mul_(1 - rate * decay)
        elif decay:
            gradient = {name: value.add(optimiser.tensors[name], alpha=decay) for name, value in gradient.items()}
        direction, optimiser.memory = optimiser.rule.direction(gradient, optimiser.memory)
        for name, value in optimiser.tensors.items():
            value.sub_(direction[name], alpha=rate)


def nothing_seen(device: torch.device) -> Float[Tensor, " 3"]:
    """Return what steps add up to before the first."""
    return torch.zeros(3, device=device)


def seen_fit(seen: Float[Tensor, " 3"]) -> Fit:
    """Return mean loss and accuracy of what `train_step` returned, added up over steps; waits for the device."""
    loss, right, samples = seen.tolist()
    return Fit(loss / samples, right / samples)


def measured(groups: LayerGroups, examples: Examples, loss: Loss = cross_entropy, start: int = 0) -> Fit:
    """Return the mean loss and the accuracy in eval mode.

    Args:
        groups: The network, left in eval mode.
        examples: Activations after the first `start` parts, and labels.
        loss: Mean loss of (outputs, labels).
        start: How many parts the inputs have passed already.
    """
    groups.eval()
    return fit(lambda hidden: groups.forward_range(hidden, start), examples, loss)


def state_of(groups: LayerGroups, optimiser: Optimiser) -> State:
    """Return all that the steps to come depend on, as it is now: later steps change the network, not the state."""
    network = {name: value.detach().clone() for name, value in groups.state_dict().items()}
    return {"network": network, "memory": optimiser.memory}


def restore(groups: LayerGroups, optimiser: Optimiser, state: State) -> None:
    """Put a network and its optimiser where `state_of` found them."""
    saved: Any = state
    groups.load_state_dict(saved["network"])
    optimiser.memory = saved["memory"]


def _most_likely(labels: Tensor) -> Int64[Tensor, " batch"]:
    return labels if labels.ndim == 1 else labels.argmax(1)
