"""Prefix: activations of the frozen parts, computed once and trained on.

What the frozen parts make of an image never changes while no augmentation changes the image, so that training the
other parts on stored activations takes the same steps, bit by bit on a CPU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.layer_groups.groups import LayerGroups

if TYPE_CHECKING:
    from jaxtyping import Float

_SAMPLES_ON_CPU, _SAMPLES_ELSEWHERE = 128, 4096


_last: dict[str, tuple[Tensor, ...]] = {}
"""The activations that this process computed last, under the digest of all that decides them."""


def prefix_activations(
    groups: LayerGroups, inputs: Sequence[Float[Tensor, "samples ..."]], depth: int
) -> tuple[Float[Tensor, "samples ..."], ...]:
    """Return what the first `depth` parts make of each set of inputs, in eval mode.

    A process remembers the last answer by the content of the inputs and of the parts and by the precision of products:
    trials that follow with the same ones compute nothing, and those that freeze more compute the parts beyond only.

    The network is left in eval mode; inputs are on its device.
    """
    if depth == 0:
        # Training all parts takes the most memory, and far more time than the activations would save a later trial.
        forget_activations()
        return tuple(inputs)
    groups.eval()
    digests = list(_digests(groups, inputs, depth))
    start, hidden = next(
        ((digests.index(one), kept) for one, kept in _last.items() if one in digests), (0, tuple(inputs))
    )
    _last.clear()
    _last[digests[depth]] = hidden = tuple(_passed(groups, of_set, start, depth) for of_set in hidden)
    return hidden


def forget_activations() -> None:
    """Give back the memory of the last answer."""
    _last.clear()


def _passed(groups: LayerGroups, hidden: Tensor, start: int, stop: int) -> Tensor:
    if start == stop:
        return hidden
    samples = _SAMPLES_ON_CPU if hidden.device.type == "cpu" else _SAMPLES_ELSEWHERE
    with torch.no_grad():
        return torch.cat([groups.forward_range(some, start, stop) for some in hidden.split(samples)])


def _digests(groups: LayerGroups, inputs: Sequence[Tensor], depth: int) -> Iterator[str]:
    """Yield the digest of what decides the activations after 0, 1, ... `depth` parts."""
    device = inputs[0].device.type
    # What rounds products, beside the types of the numbers.
    rounded = f"{torch.get_autocast_dtype(device)}" if torch.is_autocast_enabled(device) else "as they are"
    content = hashlib.sha256(f"{rounded};".encode())
    for of_set in inputs:
        _add(content, "inputs", of_set)
    yield content.hexdigest()
    for name in groups.names[:depth]:
        for entry, value in groups.get_submodule(name).state_dict().items():
            _add(content, f"{name}.{entry}", value)
        yield content.hexdigest()


def _add(content: hashlib._Hash, name: str, value: Tensor) -> None:
    array = value.detach().cpu().contiguous().numpy()
    content.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
    content.update(array.data)
