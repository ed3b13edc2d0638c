"""Labels are class numbers, whatever type holds them, or refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from trials.core.data.labels import class_numbers, refuse_no_classes


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64", "float32", "float64", "bool"])
def test_whole_numbers_of_any_type_are_classes(kind: str) -> None:
    numbers = class_numbers(np.array([1, 0, 1], kind), "here")
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1.5, 0.5]), "labels of here must be whole numbers, got 1.5 for sample 1 and 1 more"),
        (np.array([0, np.nan]), "must be whole numbers, got nan for sample 1"),
        (np.array([np.inf]), "must be whole numbers, got inf for sample 0"),
        (np.array(["cat", "dog"]), "here has labels of type <U3; they must be whole numbers"),
        (np.array([0, None], object), "here has labels of type object"),
        (np.zeros((2, 10)), "here has labels of shape (2, 10); there must be one number a sample"),
    ],
)
def test_what_is_no_whole_number_is_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        class_numbers(labels, "here")


@pytest.mark.parametrize(
    ("labels", "got"), [([0, -1, -1], "-1 for sample 1 and 1 more"), ([9, 10], "10 for sample 1"), ([255], "255")]
)
def test_numbers_that_are_no_classes_are_refused(labels: list[int], got: str) -> None:
    refuse_no_classes(np.arange(10), 10, "here")
    with pytest.raises(ValueError, match=f"labels of here must be classes from 0 to 9, got {got}"):
        refuse_no_classes(np.array(labels), 10, "here")
