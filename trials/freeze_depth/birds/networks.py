"""The network that fine-tuning on birds begins with: weights from elsewhere, or pretrained in the sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from trials.core.knobs import NONE
from trials.core.layer_groups.pretraining import ACCURACY, weights_of
from trials.freeze_depth.birds.pretraining import PretrainKnobs, StageKnobs, pretrained
from trials.freeze_depth.birds.sets import COMPOSED, BirdData
from trials.freeze_depth.fine_tuning.networks import NetworkKnobs, starting_network
from trials.freeze_depth.networks.weights import load_weights

if TYPE_CHECKING:
    from trials.core.context import TrialContext
    from trials.freeze_depth.networks.backbones import Backbone

CLASSES = 2


class BirdNetworkKnobs(NetworkKnobs, Protocol):
    """The knobs that decide the network before fine-tuning on birds."""

    @property
    def data(self) -> BirdData: ...
    @property
    def pretrain(self) -> PretrainKnobs: ...


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


def shared_pretraining(knobs: BirdNetworkKnobs) -> tuple[StageKnobs, ...]:
    """Return what is pretrained in the sweep for a trial; nothing for a trial without.

    Of the data it has only what pretraining sees, so that confounders share it.
    """
    if knobs.pretrain.task == NONE:
        return ()
    stage = StageKnobs(
        seed=knobs.seed,
        network=knobs.network,
        width=knobs.width,
        blocks=knobs.blocks,
        data=BirdData(name=knobs.data.name, draw=knobs.data.draw, side=knobs.data.side),
        pretrain=knobs.pretrain,
    )
    return (stage,)


def refuse_contradictory_pretraining(knobs: BirdNetworkKnobs) -> None:
    """Compare pretraining in the sweep with the weights and the data.

    Raises:
        ValueError: They exclude each other.
    """
    if knobs.pretrain.task == NONE:
        return
    if knobs.weights_source != NONE:
        raise ValueError(
            f"pretrain_task={knobs.pretrain.task} and weights_source={knobs.weights_source} exclude each other"
        )
    if knobs.data.name not in COMPOSED:
        raise ValueError(
            f"pretraining in the sweep needs classes to spare: data_name must be one of {', '.join(COMPOSED)}"
        )
