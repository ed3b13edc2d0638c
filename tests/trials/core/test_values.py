from __future__ import annotations

import math

import pytest

from trials.core.values import checked


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (2**63, int, "seed must be a whole number of at most 9223372036854775807, got 9223372036854775808"),
        (-(2**63) - 1, int, "seed must be a whole number of at most 9223372036854775807, got -9223372036854775809"),
        (1e30, int, "seed must be a whole number of at most 9223372036854775807, got 1000000000000000019884624838656"),
        (10**400, int, "seed must be a whole number, got 1000"),
        (10**400, float, "seed must be a finite number, got 1000"),
        (math.inf, float, "seed must be a finite number, got inf"),
    ],
    ids=["2^63", "below", "a float", "beyond floats", "no float", "infinity"],
)
def test_numbers_that_the_store_cannot_hold_are_refused(value: float, kind: type, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        checked("seed", value, kind, {})
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 9e18])
def test_numbers_that_the_store_can_hold_are_taken(value: float) -> None:
    assert checked("seed", value, int, {}) == value
