"""The network that fine-tuning begins with: its architecture and where its weights come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.core.streams import drawn_from
from trials.freeze_depth.fine_tuning.knobs import LIBRARY, refuse_images, told
from trials.freeze_depth.networks.backbones import Backbone, Sizes, built, take_bytes
from trials.freeze_depth.networks.weights import WEIGHTS, load_weights

if TYPE_CHECKING:
    import torch

    from trials.freeze_depth.fine_tuning.knobs import FineTunedKnobs


def starting_network(knobs: FineTunedKnobs, classes: int, device: torch.device) -> Backbone:
    """Return the network with a new head, whatever its other parts' weights; what is drawn depends on the seed alone.

    Raises:
        ValueError: The weights cannot be read or do not fit, or the images are of another size than the network's.
    """
    with drawn_from(knobs.seed, "initialisation"):
        library = knobs.weights_source == LIBRARY
        sizes = Sizes(classes=classes, width=knobs.width, blocks=knobs.blocks, pretrained=library)
        backbone = built(knobs.network, sizes)
    refuse_images(backbone, knobs)
    if knobs.weights_source in WEIGHTS:
        state = WEIGHTS[knobs.weights_source](knobs.weights, knobs.weights_sha256)
        load_weights(backbone.groups, backbone.renamed(state), told(knobs))
    backbone.groups.to(device)
    take_bytes(backbone, knobs.data.largest)
    return backbone
