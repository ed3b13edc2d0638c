"""Objects pasted on backgrounds through a mask of fractions, as Waterbirds is made.

Source: Sagawa, Koh, Hashimoto and Liang, arXiv 1911.08731, appendix C.1, and the code released with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

_RADIUS = 15 / 32  # of an image's side


def pasted(
    objects: UInt8[np.ndarray, "images ..."],
    backgrounds: UInt8[np.ndarray, "images ..."],
    mask: Float[np.ndarray, "images ..."],
) -> UInt8[np.ndarray, "images ..."]:
    """Return round(object x mask) + round(background x (1 - mask)), at most 255.

    Both halves are rounded, so that two bytes of 255 may add up to 256 at the edge of a mask.

    Args:
        objects: Images in front, shown where the mask is 1.
        backgrounds: Images behind, of a shape that goes with the objects'.
        mask: Fractions in [0, 1], of a shape that goes with both.
    """
    return np.minimum(np.rint(objects * mask) + np.rint(backgrounds * (1 - mask)), 255).astype(np.uint8)


def circular_mask(side: int) -> Float[np.ndarray, "side side"]:
    """Return clip((15/32 side - r) / 2 + 1/2, 0, 1) with the distance r from the centre of a square, in pixels."""
    place = np.arange(side) - (side - 1) / 2
    return np.clip((_RADIUS * side - np.hypot(place[:, None], place)) / 2 + 0.5, 0.0, 1.0)
