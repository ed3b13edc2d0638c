"""What rows leave for later ones, as named tensors that a checkpoint keeps, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from trials.core.checkpoints import State

_SCALARS = {"bool": bool, "int": int, "float": float}


def as_state(value: Any) -> State:
    """Return a dataclass or a mapping (tensors, numbers, tuples of floats, None, or the like) as tensors by name.

    Kinds of numbers are part of the names, so that what comes back is what was kept.
    """
    state: dict[str, Any] = {}
    for name, each in _entries(value):
        kind = type(each).__name__
        if isinstance(each, Tensor):
            state[name] = each
        elif each is None:
            state[f"{name}:none"] = torch.empty(0)
        elif kind in _SCALARS:
            state[f"{name}:{kind}"] = torch.tensor(each, dtype=torch.float64 if kind == "float" else None)
        elif isinstance(each, tuple) and all(type(item) is float for item in each):
            state[f"{name}:floats"] = torch.tensor(each, dtype=torch.float64)
        else:
            state[name] = as_state(each)
    return state


def from_state(like: Any, state: Any) -> Any:
    """Return what `as_state` kept, `like` it in its classes."""
    found = {}
    for tagged, value in state.items():
        name, _, kind = tagged.partition(":")
        found[name] = (
            _value(value, kind) if kind or isinstance(value, Tensor) else from_state(_entry(like, name), value)
        )
    if is_dataclass(like) and not isinstance(like, type):
        return replace(like, **found)
    return {**like, **found} if isinstance(like, Mapping) else like


def _value(value: Any, kind: str) -> Any:
    if kind == "none":
        return None
    if kind == "floats":
        return tuple(value.tolist())
    return _SCALARS[kind](value.item()) if kind else value


def _entries(value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if is_dataclass(value):
        return [(entry.name, getattr(value, entry.name)) for entry in fields(value)]
    return list(value.items())


def _entry(like: Any, name: str) -> Any:
    return like[name] if isinstance(like, Mapping) else getattr(like, name)
