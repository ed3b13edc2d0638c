"""Plain gradient descent on the weights of the patchwise network, and training on projections, which must equal it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from trials.core.parameters import Parameters
from trials.core.streams import generator
from trials.core.training.places import Place
from trials.multi_view.group import Group, group_of
from trials.multi_view.knobs import MultiViewKnobs
from trials.multi_view.noise import Drawn, drawn, gaussian_directions, orthonormal
from trials.multi_view.patches import activation, patch_set
from trials.multi_view.projections import Projected

WEIGHT = "channels.weight"


class Written(NamedTuple):
    """A training set written out.

    Attributes:
        inputs: samples x patches x dimension.
        labels: -1 or 1.
        weights: The first ones.
        patches: Every distinct patch, features first, then label times noise: patches x dimension.
    """

    inputs: Tensor
    labels: Tensor
    weights: Parameters
    patches: Tensor


def written(knobs: MultiViewKnobs) -> Written:
    """Return the training set sample by sample, with labels of both signs."""
    data, shape = patch_set(knobs), knobs.shape
    directions, weights = (gaussian_directions if knobs.noise == "gaussian" else orthonormal_directions)(drawn(knobs))
    norms = [data.feature_magnitudes, data.noise_magnitudes.repeat_interleave(shape.draws)]
    patches = directions * torch.cat(norms)[:, None]
    noise = patches[shape.features :].reshape(shape.noises, shape.draws, -1)
    inputs, labels = [], []
    for draw in range(shape.draws):
        label = 1.0 if draw % 3 else -1.0
        for alignments in data.alignments[draw]:
            carried = [label * sign * patches[at] for at, sign in enumerate(alignments) if sign]
            inputs.append(torch.stack([*carried, *(label * noise[:, draw])]))
            labels.append(label)
    first = {WEIGHT: knobs.initial_scale * weights}
    return Written(torch.stack(inputs), torch.tensor(labels, dtype=torch.float64), first, patches)


def orthonormal_directions(drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Return directions and weights, each x dimension, that project as `orthonormal` says."""
    found = orthonormal(drawn)
    known = torch.cat([found.features, found.noise.flatten(1)], dim=1)
    others = (drawn.channels, drawn.dimension - known.shape[1])
    beyond = torch.randn(*others, generator=generator(drawn.seed, "beyond"), dtype=torch.float64)
    return torch.eye(known.shape[1], drawn.dimension, dtype=torch.float64), torch.cat([known, beyond], dim=1)


def descended(data: Written, knobs: MultiViewKnobs, steps: int) -> Parameters:
    """Return the weights after steps of gradient descent on one training set."""
    weights = data.weights[WEIGHT]
    for _ in range(steps):
        weights = stepped(weights, data, knobs)
    return {WEIGHT: weights}


def stepped(weights: Tensor, data: Written, knobs: MultiViewKnobs) -> Tensor:
    """Return the weights after one step, with autograd's gradient of the mean logistic loss."""
    leaf = weights.clone().requires_grad_()
    outputs = activation(data.inputs @ leaf.T, knobs.exponent).sum((1, 2))
    (gradient,) = torch.autograd.grad(softplus(-data.labels * outputs).mean(), [leaf])
    return weights - knobs.learning_rate * gradient


class Training(NamedTuple):
    """Trainings on projections at the beginning of a step."""

    group: Group
    projected: Projected
    place: Place
    step: int = 0

    @property
    def losses(self) -> Tensor:
        return self.group.losses(self.step, self.projected, self.place)

    def after(self, steps: int) -> Training:
        """Return the trainings after some steps."""
        training = self
        for _ in range(steps):
            loss = training.projected.on(training.group.sees(training.step))
            place, _ = training.group.descent(loss, training.place, training.step)
            training = training._replace(place=place, step=training.step + 1)
        return training

    def projections(self, lane: int = 0) -> Tensor:
        """Return the projections of one training, channels x patches."""
        point = self.place.point
        return torch.cat([point["features"][lane], point["noise"][lane].flatten(1)], dim=1)


def training(*trials: MultiViewKnobs) -> Training:
    """Return trainings at step 0."""
    group, begun = group_of(trials, torch.device("cpu"))
    return Training(group, *begun)
