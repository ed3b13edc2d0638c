"""Images of a user's own: a folder with a folder of them for each class, or encoded ones in a column."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trials.core.data.decoded import decoded_once

Found = Mapping[str, np.ndarray]
"""Arrays as they are written: `train_inputs` and so on, or `inputs` and `labels` where nobody has split them."""

TESTS = ("test", "validation", "val", "valid")
"""Names of a test part."""
_IMAGES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))


def folder(place: str, wanted: Mapping[str, Any]) -> Found:
    """Return the images of a folder with a folder for each class, or of its `train` and `test` with such folders."""
    root = Path(place)
    within = {entry.name: entry for entry in _entries(root) if entry.is_dir()}
    test = next((name for name in TESTS if name in within), None)
    parts = {"train_": within["train"], "test_": within[test]} if test and "train" in within else {"": root}
    files = {part: list(_labelled(where)) for part, where in parts.items()}
    for part, found in files.items():
        if not found:
            raise ValueError(f"data={place} has no images in folders by class: {parts[part]}/CLASS/*.png, say")
    listed = [file for found in files.values() for file, _ in found]
    versions = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in listed]

    def decode() -> Found:
        pixels = decoded_images([file.read_bytes() for file in listed], wanted.get("side", 0), place)
        labels = np.array([label for found in files.values() for _, label in found])
        cut = len(next(iter(files.values())))
        if len(files) == 1:
            return {"inputs": pixels, "labels": labels}
        return {
            "train_inputs": pixels[:cut],
            "train_labels": labels[:cut],
            "test_inputs": pixels[cut:],
            "test_labels": labels[cut:],
        }

    return decoded_once(f"own-{root.name}", [*versions, wanted.get("side", 0)], decode)


def _labelled(root: Path) -> Sequence[tuple[Path, str]]:
    classes = [entry for entry in _entries(root) if entry.is_dir()]
    return [
        (file, entry.name) for entry in classes for file in sorted(_entries(entry)) if file.suffix.lower() in _IMAGES
    ]


def _entries(where: Path) -> list[Path]:
    """Return what lies in a folder; hidden entries are somebody else's."""
    return sorted(entry for entry in where.iterdir() if not entry.name.startswith("."))


def decoded_images(encoded: Sequence[bytes], side: int, place: str) -> np.ndarray:
    """Return images as bytes of shape (images, channels, height, width), grey where all are.

    Args:
        encoded: Files of images.
        side: Pixels of a side: the middle square of each image is brought to it; 0 leaves images as they are.
        place: Where they are from, for refusals.

    Raises:
        ValueError: One cannot be decoded, or they differ in size.
    """
    from PIL import Image

    images = []
    for number, content in enumerate(encoded):
        try:
            image = Image.open(io.BytesIO(content))
            image.load()
        except (OSError, TypeError) as error:
            raise ValueError(f"data={place}: image {number} cannot be decoded: {first_line(error)}") from None
        images.append(image)
    mode = "L" if all(image.mode in ("1", "L") for image in images) else "RGB"
    squares = [_square(image, side) if side else image for image in images]
    if len(sizes := dict.fromkeys(image.size for image in squares)) > 1:
        one, other = (f"{width}x{height}" for width, height in list(sizes)[:2])
        raise ValueError(
            f"data={place} has images of {one} and of {other}; a record with side: 32, say, makes them one size"
        )
    pixels = np.stack([np.asarray(image.convert(mode)) for image in squares])
    return pixels[:, None] if mode == "L" else pixels.transpose(0, 3, 1, 2)


def _square(image: Any, side: int) -> Any:
    width, height = image.size
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    return image.convert("RGB" if image.mode not in ("1", "L") else "L").resize(
        (side, side), resample=2, box=(left, top, left + edge, top + edge)
    )


def first_line(error: Exception) -> str:
    """Return what an error says, in a line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
