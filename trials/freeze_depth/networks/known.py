"""What is known of networks by name before any is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from trials.core.layer_groups.knobs import RESIDUAL_PARTS
from trials.core.values import is_own

EMBED, TAIL, HEAD = "embed", "tail", "head"
LITE0_PARTS = ("stem", *(f"block {number}" for number in range(1, 17)), "last conv", HEAD)
"""Parts of EfficientNet-Lite0; the mean over places belongs to the last convolution."""
LIBRARIES = ("timm", "torchvision")
"""Libraries whose networks are named `LIBRARY/NAME`."""


@dataclass(frozen=True, kw_only=True)
class VitShape:
    """Sizes of a vision transformer.

    Attributes:
        side: Pixels of an image's side.
        patch: Pixels of a patch's side.
        width: Numbers a token.
        depth: Blocks.
        heads: Attention heads.
        features: Numbers that the last map before the head leaves.
    """

    side: int
    patch: int
    width: int
    depth: int
    heads: int
    features: int

    @property
    def tokens(self) -> int:
        """Patches of an image and the class token."""
        return (self.side // self.patch) ** 2 + 1

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the layer groups."""
        return (EMBED, *(f"block {number}" for number in range(1, self.depth + 1)), TAIL, HEAD)


CLIP_B16 = VitShape(side=224, patch=16, width=768, depth=12, heads=12, features=512)
VIT_TINY = VitShape(side=32, patch=4, width=192, depth=6, heads=3, features=192)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a network.

    Attributes:
        parts: Names of its parts.
        side: Pixels of an image's side, 0 where any will do.
        embeddings: Whether it has embeddings of classes and places.
        normalises: Whether all parts but the head have batch normalisation; if not, none has.
    """

    parts: tuple[str, ...]
    side: int = 0
    embeddings: bool = False
    normalises: bool = False


NETWORKS: Mapping[str, Known] = MappingProxyType(
    {
        "resnet": Known(parts=RESIDUAL_PARTS, normalises=True),
        "lite0": Known(parts=LITE0_PARTS, normalises=True),
        "clip_vit_b16": Known(parts=CLIP_B16.parts, side=CLIP_B16.side, embeddings=True),
        "vit_tiny": Known(parts=VIT_TINY.parts, side=VIT_TINY.side, embeddings=True),
    }
)
"""Networks by name. Others are named `timm/NAME` and `torchvision/NAME`."""


def known(name: str) -> Known | None:
    """Return what is known of a network, None of one that only building tells about.

    Raises:
        ValueError: There is no such network.
    """
    library, slash, inner = name.partition("/")
    if name in NETWORKS:
        return NETWORKS[name]
    if is_own(name) or (slash and inner and library in LIBRARIES):
        return None
    listed = ", ".join([*NETWORKS, *(f"{each}/NAME" for each in LIBRARIES), "package.module:function"])
    raise ValueError(f"network={name!r} is not one of {listed}")
