"""Checkpoints as a recipe sees them: its state by name, saved now and then, found again where a trial goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

State = Mapping[str, "Tensor | State"]
"""Tensors by name, in any number of levels."""

LAYOUT = 2
"""Number of how states are named and what they hold. One of another number is left aside: raise it with a change."""

_SEPARATOR = "/"


@dataclass(frozen=True)
class Saved:
    """Where an earlier attempt of the same trial was broken off, or a shorter trial of the same training ended.

    The step comes next; the state is what the recipe saved at its beginning, on the trial's device.
    """

    step: int
    state: State


class Checkpoints(Protocol):
    """What a recipe asks of its surroundings to survive being broken off."""

    def restored(self, device: torch.device) -> Saved | None:
        """Return where to go on, None to start at the beginning."""

    def offer(self, step: int, state: Callable[[], State], *, last: bool) -> None:
        """Save the state if it is time to.

        Args:
            step: The step that comes next; every row of an earlier step has been yielded, none of this one.
            state: Returns the state at the beginning of the step; called only if it is saved.
            last: True where no step follows: what a longer trial of the same training goes on from.
        """


class NoCheckpoints:
    """Saves nothing: what a test or a debugger wants."""

    def restored(self, device: torch.device) -> Saved | None:
        return None

    def offer(self, step: int, state: Callable[[], State], *, last: bool) -> None:
        return None


def as_arrays(state: State) -> dict[str, np.ndarray]:
    """Return a state's tensors as arrays on the host, names of levels joined by slashes."""
    return dict(_flattened(state, ""))


def as_state(arrays: Mapping[str, np.ndarray], device: torch.device) -> State:
    """Return the state that `as_arrays` flattened."""
    import torch  # here, since the store's side knows of checkpoints and needs no torch

    state: dict[str, object] = {}
    for name, array in arrays.items():
        *levels, last = name.split(_SEPARATOR)
        place = state
        for level in levels:
            place = place.setdefault(level, {})  # type: ignore[assignment]
        place[last] = torch.from_numpy(array.copy()).to(device)
    return state  # type: ignore[return-value]


def _flattened(state: State, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in state.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}{_SEPARATOR}")
        else:
            yield f"{prefix}{name}", value.detach().cpu().numpy()
