"""Losses of margins, output times label: one output, labels of -1 and +1."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from torch.nn.functional import softplus

from trials.core.losses.loss import Form, Loss

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


def _right(outputs: Float[Tensor, "batch 1"], labels: Float[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
    return _margins(outputs, labels) > 0


def _margins(outputs: Float[Tensor, "batch 1"], labels: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    return outputs[:, 0] * labels


def _of(each: Form) -> Loss:
    return Loss(lambda outputs, labels: each(outputs, labels).mean(), each, right=_right)


MARGIN_LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "logistic": _of(lambda outputs, labels: softplus(-_margins(outputs, labels))),
        "hinge": _of(lambda outputs, labels: (1 - _margins(outputs, labels)).clamp(min=0)),
        "squared": _of(lambda outputs, labels: (1 - _margins(outputs, labels)).square()),
    }
)
