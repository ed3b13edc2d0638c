"""What a round is: a linearisation, and coordinates in which its steps are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from trials.core.checkpoints import State
from trials.core.linearisation import Linearised
from trials.core.networks.chain import Chain
from trials.core.parameters import Parameters
from trials.core.training.batches import Batch
from trials.core.training.places import Place, Vector, plus
from trials.core.training.slopes import Told, taped_norms

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.data.examples import TrainingSet
    from trials.core.losses.loss import Loss
    from trials.core.networks.network import Network

_CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is trained on what.

    Attributes:
        network: The network.
        train: The training examples.
        loss: What is minimised.
    """

    network: Network
    train: TrainingSet
    loss: Loss


class Round(Protocol):
    """The steps on one linearisation.

    Coordinates are linear: those of a sum are the sum of those of its parts.
    """

    @property
    def problem(self) -> Problem:
        """What is trained on what."""

    @property
    def model(self) -> Linearised:
        """The function that is trained."""

    @property
    def start(self) -> Place:
        """Where the round begins, in its coordinates."""

    @property
    def anchor(self) -> Vector:
        """Where the network was linearised, in the round's coordinates."""

    def slope(self, point: Vector, batch: Batch, weights: Float[Tensor, " batch"] | None = None) -> Told:
        """Return the gradient of the linearised loss on a batch of the training examples."""

    def parameters(self, vector: Vector) -> Parameters:
        """Return the vector of parameter space with these coordinates."""

    def state(self) -> State:
        """Return what the round was begun with, beside the anchor, for as far as the coordinates need it."""


class RoundLoss(NamedTuple):
    """The loss of a round's linearisation on a batch, and damping / 2 ||theta - anchor||^2 beside it."""

    round: Round
    batch: Batch
    damping: float | Tensor = 0.0

    def slope(self, point: Vector, weights: Float[Tensor, " batch"] | None = None) -> Told:
        return self.round.slope(point, self.batch, weights)

    def norms(self, point: Vector) -> Float[Tensor, " batch"]:
        return taped_norms(_for_the_tape(self.round.model), point, self.batch, self.round.problem.loss)

    def drawn_back(self, gradient: Vector, point: Vector) -> Vector:
        return drawn_back(gradient, point, self.round.anchor, self.damping) if self.damping else gradient


def drawn_back(gradient: Vector, point: Vector, anchor: Vector, damping: float | Tensor) -> Vector:
    """Return the gradient with that of damping / 2 ||point - anchor||^2; at the anchor, the very same object, itself."""
    if point is anchor:
        return gradient
    return plus(gradient, {name: value - anchor[name] for name, value in point.items()}, damping)


def gradient_norm(
    round_: Round, point: Vector, samples: int, device: torch.device, damping: float = 0.0
) -> Float[Tensor, ""]:
    """Return the norm of the gradient of the damped linearised loss on all training samples."""
    total: dict[str, Tensor] = {}
    for chunk in torch.arange(samples, device=device).split(_CHUNK):
        part = round_.slope(point, Batch(chunk, formed(round_.problem.train))).gradient
        total = {name: total.get(name, 0) + value * (len(chunk) / samples) for name, value in part.items()}
    if damping:
        total = dict(drawn_back(total, point, round_.anchor, damping))
    return torch.cat([value.flatten() for value in round_.parameters(total).values()]).norm()


def formed(train: TrainingSet) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return what makes inputs and labels of rows of a training set."""

    def form(rows: Tensor) -> tuple[Tensor, Tensor]:
        shown = train.at(rows)
        return shown.inputs, shown.labels

    return form


def _for_the_tape(model: Linearised) -> Callable[[Vector, Tensor], Tensor]:
    """Return f_lin by forward mode inside `vmap`, which takes no level of dual numbers of its own."""

    def forward(parameters: Vector, inputs: Tensor) -> Tensor:
        def of(values: Vector) -> Tensor:
            return model.forward(values, inputs)

        displacement = {name: value - model.anchor[name] for name, value in parameters.items()}
        outputs, moved = torch.func.jvp(of, (dict(model.anchor),), (displacement,))
        return outputs + moved

    return forward


def is_chain(model: Linearised) -> bool:
    """Return whether the linearised function is a chain of layers."""
    return isinstance(model.forward, Chain)
