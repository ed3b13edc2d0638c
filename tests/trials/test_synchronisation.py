"""Steps that no row describes read nothing from the device: a read would make the host wait for all queued work."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trials.core.context import TrialContext
from trials.core.data.examples import DataKnobs
from trials.k_phase_diagram import KPhaseKnobs, run

WAITING = frozenset({"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2"})
"""Operations of which the host needs the values: numbers, and tensors whose shape depends on them."""


class Reads(TorchDispatchMode):
    """Counts what makes a host wait for its device, on the CPU too."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        self.count += function.overloadpacket.__name__ in WAITING
        return function(*arguments, **(keywords or {}))


def reads_by_row(**changes: Any) -> list[tuple[int, int]]:
    """Return for each row of a training how many steps it took since the last, and how many reads."""
    small = {"steps": 1000, "width": 16, "batch_size": 8, "measurements_per_decade": 3}
    knobs = KPhaseKnobs(**{**small, "data": DataKnobs(train_size=40), **changes})
    found, before, step = [], 0, 0
    with Reads() as reads:
        for row in run(knobs, TrialContext()):
            found.append((row["step"] - step, reads.count - before))
            before, step = reads.count, row["step"]
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"feature_update_interval": 10},
        {"feature_update_interval": 100, "inner_optimizer": "adam", "weight_decay": 0.01},
        *({"feature_update_interval": 1000, "round_method": method} for method in ("jvp", "cached", "function_space")),
        {"feature_update_interval": 1000, "precision": "bfloat16"},
    ],
    ids=lambda changes: ", ".join(f"{name}={value}" for name, value in changes.items()) or "plain",
)
def test_only_rows_read(changes: dict[str, Any]) -> None:
    taken = reads_by_row(**changes)
    after_few, after_many = (
        [reads for steps, reads in taken if low <= steps <= high] for low, high in ((1, 5), (100, 600))
    )
    assert len(after_few) > 2
    assert len(after_many) > 2
    # What a row reads differs by one where it is the last or the first of its kind; 500 steps more read nothing more.
    assert max(after_many) <= max(after_few) + 1


def test_the_counter_counts() -> None:
    with Reads() as reads:
        float(torch.ones(3).sum())
        bool((torch.ones(1) > 0).all())
    assert reads.count == 2
