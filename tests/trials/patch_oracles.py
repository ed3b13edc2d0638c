"""Plain gradient descent on the weights of the patchwise network: what training on projections must equal."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trials.core.feature_learning.noise import gaussian_directions, orthonormal_directions
from trials.core.feature_learning.patch_data import patch_set
from trials.core.feature_learning.patchwise import WEIGHT, logistic_loss, patchwise
from trials.core.parameters import Parameters
from trials.multi_view import MultiViewKnobs, drawn

DIRECTIONS = {"orthonormal": orthonormal_directions, "gaussian": gaussian_directions}


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
    directions, weights = DIRECTIONS[knobs.noise](drawn(knobs))
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


def descended(data: Written, knobs: MultiViewKnobs, steps: int) -> Parameters:
    """Return the weights after steps of gradient descent on one training set."""
    weights = data.weights[WEIGHT]
    for _ in range(steps):
        weights = stepped(weights, data, knobs)
    return {WEIGHT: weights}


def stepped(weights: Tensor, data: Written, knobs: MultiViewKnobs) -> Tensor:
    """Return the weights after one step, with autograd's gradient of the mean logistic loss."""
    network = patchwise(knobs.channels, knobs.dimension, knobs.exponent)
    leaf = weights.clone().requires_grad_()
    margins = data.labels * network.forward({WEIGHT: leaf}, data.inputs)
    (gradient,) = torch.autograd.grad(logistic_loss(margins), [leaf])
    return weights - knobs.learning_rate * gradient
