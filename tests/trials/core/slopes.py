"""What tests of gradients share."""

from __future__ import annotations

import torch

from trials.core.training.batches import Batch


def gradient_of(model, point, inputs, labels, loss):
    """Return the gradient of the loss of a linearised function on one batch."""
    return model.slope(point, Batch(torch.arange(len(labels)), lambda rows: (inputs, labels)), loss).gradient
