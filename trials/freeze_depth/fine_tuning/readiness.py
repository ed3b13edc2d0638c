"""What can be refused before any trial begins, once networks of libraries are built and files of weights are opened.

Of weights only names and shapes are read, and kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from trials.core.choices import refuse_depth
from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.training import GroupsForward
from trials.core.linearisation import linearised
from trials.core.losses.classification import cross_entropy
from trials.core.streams import drawn_from
from trials.core.training.batches import Batch
from trials.freeze_depth.fine_tuning.knobs import refuse_images, refuse_scope, told
from trials.freeze_depth.networks.backbones import Backbone, Sizes, built
from trials.freeze_depth.networks.known import known
from trials.freeze_depth.networks.weight_outlines import OUTLINES
from trials.freeze_depth.networks.weights import refuse_unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trials.freeze_depth.knobs import FreezeDepthKnobs


def refuse_what_does_not_fit(knobs: FreezeDepthKnobs, classes: int) -> None:
    """Compare the knobs with the network that they name, and the network with its weights.

    Args:
        knobs: What decides the network.
        classes: Outputs of its new head.

    Raises:
        ValueError: There is no such network, it has no such depth or no embeddings to spare, its images are of another
            size, it is to be linearised and cannot be, or the weights cannot be read or do not fit.
    """
    backbone = _outlined(knobs.network, Sizes(classes=classes, width=knobs.width, blocks=knobs.blocks))
    refuse_depth(knobs.freeze_depth, backbone.groups.names)
    refuse_images(backbone, knobs)
    refuse_scope(knobs, embeddings=bool(backbone.embeddings))
    freeze(backbone.groups, knobs.freeze_depth, statistics=knobs.keep_statistics)
    knobs.refuse_rounds(statistics_move=backbone.groups.train().statistics_move)
    if knobs.feature_update_interval > 1 and not known(knobs.network):
        _refuse_no_linearisation(backbone, knobs)
    outline = _outline(knobs.weights_source, knobs.weights, knobs.weights_sha256)
    if outline is not None:
        refuse_unfit(backbone.groups, backbone.renamed(outline), told(knobs))


def _refuse_no_linearisation(backbone: Backbone, knobs: FreezeDepthKnobs) -> None:
    """Take the slope of the linearisation of what trains, without numbers.

    Raises:
        ValueError: PyTorch does not know a derivative that it takes.
    """
    values = {name: each.detach() for name, each in backbone.groups.named_parameters() if each.requires_grad}
    images = torch.empty(2, 3, knobs.data.pixels, knobs.data.pixels, device="meta")
    batch = Batch(torch.arange(2), lambda rows: (images, rows.to("meta")))
    forward = GroupsForward(backbone.groups, own={}, start=0, statistics_move=False)
    try:
        linearised(forward, values).slope(dict(values), batch, cross_entropy)
    except RuntimeError as error:
        asked = f"feature_update_interval={knobs.feature_update_interval}"
        raise ValueError(f"{asked} needs second derivatives, which {knobs.network} lacks: {error}") from None


# A sweep has many trials of few networks and files.
@lru_cache(maxsize=16)
def _outlined(network: str, sizes: Sizes) -> Backbone:
    # Built with numbers: the first tensor drawn on `meta` imports the decompositions of all operations, for seconds.
    with drawn_from(0, "outline"):
        backbone = built(network, sizes)
    backbone.groups.to("meta")
    return backbone


@lru_cache(maxsize=16)
def _outline(source: str, place: str, sha256: str) -> Mapping[str, Tensor] | None:
    return OUTLINES[source](place, sha256) if source in OUTLINES else None
