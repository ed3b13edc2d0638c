"""Pretraining as a stage: SGD from an initialisation, and what is kept of it for the trials that go on from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trials.core.context import TrialContext
from trials.core.layer_groups.groups import LayerGroups
from trials.core.layer_groups.training import descent, of_groups
from trials.core.losses.classification import cross_entropy
from trials.core.training import batches
from trials.core.training.course import course
from trials.core.training.schedules import batches_an_epoch, cosine

if TYPE_CHECKING:
    from jaxtyping import Int64

ACCURACY = "accuracy"
"""Name of the accuracy among the arrays that a pretraining leaves."""


def pretrain(
    groups: LayerGroups,
    batch: Callable[[int, Int64[Tensor, " batch"]], tuple[Tensor, Tensor]],
    device: torch.device,
    *,
    samples: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    seed: int,
    stream: str,
) -> None:
    """Train all parts of a network on the device, by half a cosine from the learning rate to 0.

    `batch` makes inputs and labels of (epoch, which of the `samples`); `seed` and `stream` draw the order of these.
    """
    epoch_steps = batches_an_epoch(samples, batch_size)
    steps = epochs * epoch_steps
    step = descent(learning_rate=learning_rate, schedule=cosine(steps), momentum=momentum, weight_decay=weight_decay)
    draw = batches.epochs(seed, samples, batch_size, device, stream=stream)
    sees = batches.seen_anew(lambda number, rows: batch(number // epoch_steps, rows), draw)
    begun = of_groups(groups, cross_entropy, step.rule)
    for _ in course(
        begun, step, sees, steps=steps, rows_at=lambda now: False, context=TrialContext(device=device), past=None
    ):
        pass


def kept(groups: LayerGroups, accuracy: float) -> Mapping[str, np.ndarray]:
    """Return the parameters and buffers of a pretrained network by name, and its accuracy."""
    state = {name: value.detach().cpu().numpy() for name, value in groups.state_dict().items()}
    return {**state, ACCURACY: np.array(accuracy)}


def weights_of(arrays: Mapping[str, np.ndarray]) -> Mapping[str, Tensor]:
    """Return the parameters and buffers among what `kept` returned.

    They are copies: stored arrays may be read-only, which tensors cannot express.
    """
    return {name: torch.tensor(array) for name, array in arrays.items() if name != ACCURACY}
