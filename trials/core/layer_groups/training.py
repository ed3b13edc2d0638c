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
from trials.core.probes.fit import Fit, fit

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor
    from torch.optim import Optimizer

    from trials.core.checkpoints import State
    from trials.core.data.examples import Examples
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.layer_groups.schedules import Schedule
    from trials.core.losses.classification import Loss


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


def _sgd(tensors: list[Tensor], descent: Descent) -> Optimizer:
    momentum, decay = descent.momentum, descent.weight_decay
    rate, nesterov = descent.learning_rate, descent.nesterov
    return torch.optim.SGD(tensors, lr=rate, momentum=momentum, nesterov=nesterov, weight_decay=decay)


def _adamw(tensors: list[Tensor], descent: Descent) -> Optimizer:
    """Return AdamW with decays 0.9 and 0.999.

    Source: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2.
    """
    return torch.optim.AdamW(tensors, lr=descent.learning_rate, weight_decay=descent.weight_decay)


OPTIMISERS: Mapping[str, Callable[[list[Tensor], Descent], Optimizer]] = MappingProxyType(
    {"sgd": _sgd, "adamw": _adamw}
)


def label_smoothed(share: float) -> Loss:
    """Return cross-entropy against labels of which `share` is spread evenly over the classes."""
    return lambda outputs, labels: functional.cross_entropy(outputs, labels, label_smoothing=share)


def optimiser_of(groups: LayerGroups, descent: Descent) -> Optimizer:
    """Return an optimiser that knows the trainable parameters only: weight decay would move frozen ones."""
    return OPTIMISERS[descent.optimiser](list(_trainable(groups).values()), descent)


def train_step(
    groups: LayerGroups,
    optimiser: Optimizer,
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
    for group in optimiser.param_groups:
        group["lr"] = descent.rate(step)
    optimiser.zero_grad()
    outputs = groups.forward_range(hidden, start)
    loss = descent.loss(outputs, labels)
    loss.backward()
    optimiser.step()
    right = (outputs.detach().argmax(1) == _most_likely(labels)).sum()
    samples = loss.new_full((), len(labels))
    return torch.stack([loss.detach() * samples, right.to(loss.dtype), samples])


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


def state_of(groups: LayerGroups, optimiser: Optimizer) -> State:
    """Return all that the steps to come depend on, as it is now: later steps change the network, not the state."""
    memory = optimiser.state_dict()["state"]
    names = list(_trainable(groups))
    remembered = {names[index]: {name: _copied(value) for name, value in of.items()} for index, of in memory.items()}
    return {"network": {name: value.clone() for name, value in groups.state_dict().items()}, "memory": remembered}


def restore(groups: LayerGroups, optimiser: Optimizer, state: State) -> None:
    """Put a network and its optimiser where `state_of` found them."""
    saved: Any = state
    groups.load_state_dict(saved["network"])
    remembered = saved.get("memory", {})
    memory = {index: remembered[name] for index, name in enumerate(_trainable(groups)) if name in remembered}
    optimiser.load_state_dict({"state": memory, "param_groups": optimiser.state_dict()["param_groups"]})


def _trainable(groups: LayerGroups) -> dict[str, Tensor]:
    return {name: value for name, value in groups.named_parameters() if value.requires_grad}


def _copied(value: Any) -> Tensor:
    return value.clone() if isinstance(value, torch.Tensor) else torch.tensor(value)


def _most_likely(labels: Tensor) -> Int64[Tensor, " batch"]:
    return labels if labels.ndim == 1 else labels.argmax(1)
