"""The network that fine-tuning on birds begins with: weights from elsewhere, or pretrained in the sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trials.core.layer_groups.pretraining import ACCURACY, weights_of
from trials.core.streams import drawn_from
from trials.freeze_depth.birds.knobs import CLASSES, shared_pretraining
from trials.freeze_depth.birds.pretraining import pretrained
from trials.freeze_depth.fine_tuning.knobs import LIBRARY, refuse_images, told
from trials.freeze_depth.networks.backbones import Backbone, Sizes, built, take_bytes
from trials.freeze_depth.networks.weights import WEIGHTS, load_weights

if TYPE_CHECKING:
    import torch

    from trials.core.context import TrialContext
    from trials.freeze_depth.knobs import FreezeDepthKnobs


class Initial(NamedTuple):
    """A network before fine-tuning, and its accuracy in pretraining where that was in the sweep."""

    backbone: Backbone
    pretrain_acc: float | None


def initial_network(knobs: FreezeDepthKnobs, context: TrialContext) -> Initial:
    """Return the network with a new head, whatever its other parts' weights; what is drawn depends on the seed alone.

    Raises:
        ValueError: The weights cannot be read or do not fit, or the images are of another size than the network's.
    """
    backbone, stages = _with_new_head(knobs, context.device), shared_pretraining(knobs)
    if not stages:
        return Initial(backbone, None)
    result = context.result_of(pretrained, *stages)
    load_weights(backbone.groups, weights_of(result), f"pretraining on {knobs.pretrain.task}")
    return Initial(backbone, float(result[ACCURACY]))


def _with_new_head(knobs: FreezeDepthKnobs, device: torch.device) -> Backbone:
    """Return the network with weights that are not pretrained in the sweep, if any."""
    with drawn_from(knobs.seed, "initialisation"):
        library = knobs.weights_source == LIBRARY
        sizes = Sizes(classes=CLASSES, width=knobs.width, blocks=knobs.blocks, pretrained=library)
        backbone = built(knobs.network, sizes)
    refuse_images(backbone, knobs)
    if knobs.weights_source in WEIGHTS:
        state = WEIGHTS[knobs.weights_source](knobs.weights, knobs.weights_sha256)
        load_weights(backbone.groups, backbone.renamed(state), told(knobs))
    backbone.groups.to(device)
    take_bytes(backbone, knobs.data.largest)
    return backbone
