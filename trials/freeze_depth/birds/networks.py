"""The network that fine-tuning on birds begins with: weights from elsewhere, or pretrained in the sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trials.core.layer_groups.pretraining import ACCURACY, weights_of
from trials.freeze_depth.birds.knobs import CLASSES, BirdNetworkKnobs, shared_pretraining
from trials.freeze_depth.birds.pretraining import pretrained
from trials.freeze_depth.fine_tuning.networks import starting_network
from trials.freeze_depth.networks.weights import load_weights

if TYPE_CHECKING:
    from trials.core.context import TrialContext
    from trials.freeze_depth.networks.backbones import Backbone


class Initial(NamedTuple):
    """A network before fine-tuning, and its accuracy in pretraining where that was in the sweep."""

    backbone: Backbone
    pretrain_acc: float | None


def initial_network(knobs: BirdNetworkKnobs, context: TrialContext) -> Initial:
    """Return the network with a new head, whatever its other parts' weights; what is drawn depends on the seed alone.

    Raises:
        ValueError: The weights cannot be read or do not fit, or the images are of another size than the network's.
    """
    backbone, stages = starting_network(knobs, CLASSES, context.device), shared_pretraining(knobs)
    if not stages:
        return Initial(backbone, None)
    result = context.result_of(pretrained, *stages)
    load_weights(backbone.groups, weights_of(result), f"pretraining on {knobs.pretrain.task}")
    return Initial(backbone, float(result[ACCURACY]))
