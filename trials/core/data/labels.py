"""Labels of any reader as class numbers, refused where one is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64, Shaped


def class_numbers(labels: Shaped[np.ndarray, " samples"], where: str) -> Int64[np.ndarray, " samples"]:
    """Return labels as whole numbers, whichever type they have.

    Args:
        labels: Whole numbers, as integers or as floats; NaN stands for a label that is not there.
        where: What the labels are of, for the refusal.

    Raises:
        ValueError: There is not one whole number a sample.
    """
    if labels.ndim != 1:
        raise ValueError(f"{where} has labels of shape {labels.shape}; there must be one number a sample")
    if labels.dtype.kind == "f":
        _refuse(labels, ~(np.isfinite(labels) & (labels == np.rint(labels))), where, "must be whole numbers")
    elif labels.dtype.kind not in "biu":
        raise ValueError(f"{where} has labels of type {labels.dtype}; they must be whole numbers")
    return labels.astype(np.int64)


def refuse_no_classes(labels: Int64[np.ndarray, " samples"], classes: int, where: str) -> None:
    """Refuse labels that are no classes, such as the -1 of a test set whose labels are hidden.

    Raises:
        ValueError: One is below 0 or not below `classes`.
    """
    _refuse(labels, (labels < 0) | (labels >= classes), where, f"must be classes from 0 to {classes - 1}")


def _refuse(labels: np.ndarray, wrong: Bool[np.ndarray, " samples"], where: str, rule: str) -> None:
    (found,) = wrong.nonzero()
    if found.size:
        more = f" and {found.size - 1} more" if found.size > 1 else ""
        raise ValueError(f"labels of {where} {rule}, got {labels[found[0]]} for sample {found[0]}{more}")
