"""Encoded images, such as PNG and JPEG, as arrays of bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from PIL.Image import Image


def opened(image: bytes | Path | None, name: str) -> Image:
    """Return an image in colour, decoded to its end.

    Args:
        image: The encoded bytes, or the file that holds them.
        name: How the refusal calls it.

    Raises:
        ValueError: It cannot be decoded.
    """
    from PIL import Image, UnidentifiedImageError

    if not image:
        raise ValueError(f"cannot decode an image, {name}: it is empty")
    try:
        with Image.open(image if isinstance(image, Path) else io.BytesIO(image)) as stream:
            return stream.convert("RGB")
    except UnidentifiedImageError as error:
        raise ValueError(f"cannot decode an image, {name}: it is none of any known kind") from error
    except Exception as error:  # decoders raise what damaged bytes lead them to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"cannot decode an image, {name}: {reason}") from error


def stacked(images: Sequence[UInt8[np.ndarray, "3 height width"]], where: str) -> UInt8[np.ndarray, "images ..."]:
    """Return images of one size as one array.

    Raises:
        ValueError: There is none, or their sizes differ.
    """
    sizes = {image.shape[1:]: number for number, image in reversed(list(enumerate(images)))}
    if len(sizes) != 1:
        seen = ", ".join(f"{width}x{height} (first image {number})" for (height, width), number in sizes.items())
        raise ValueError(f"images of {where} must have one size, got {seen or 'no images'}")
    return np.stack(images)
