"""What a fine-tuning over the frozen depth begins with, and what of it does not fit."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.fixed_set import fixed_set
from trials.core.choices import refuse_depth
from trials.core.knobs import NONE
from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.pretraining import ACCURACY, weights_of
from trials.core.layer_groups.training import GroupsForward
from trials.core.linearisation import linearised
from trials.core.losses.classification import cross_entropy
from trials.core.streams import drawn_from
from trials.core.training.batches import Batch
from trials.freeze_depth.birds.groups import GROUPING, TASKS
from trials.freeze_depth.birds.knobs import CLASSES, shared_pretraining
from trials.freeze_depth.birds.pretraining import pretrained
from trials.freeze_depth.birds.sets import birds_of
from trials.freeze_depth.contradictions import LIBRARY, PUBLISHED, refuse_scope, refuse_side
from trials.freeze_depth.fine_tuning.splits import splits_of
from trials.freeze_depth.networks.backbones import Sizes, built, take_bytes
from trials.freeze_depth.networks.known import known
from trials.freeze_depth.networks.weights import OUTLINES, WEIGHTS, load_weights, refuse_unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trials.core.context import TrialContext
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.rows import Row
    from trials.freeze_depth.fine_tuning.splits import Splits
    from trials.freeze_depth.knobs import FreezeDepthKnobs
    from trials.freeze_depth.networks.chains import Backbone


def network_and_splits(knobs: FreezeDepthKnobs, context: TrialContext) -> tuple[LayerGroups, Splits, Row]:
    """Return the network, frozen, its images, and what every row tells of both.

    The images have passed the frozen parts where that can be done once and for all.

    Raises:
        ValueError: The weights do not fit, or there are too few images.
    """
    birds = birds_of(context.arrays(knobs.data.name), knobs.data)
    backbone, pretrain_acc = initial_network(knobs, context)
    groups = backbone.groups
    spared = backbone.embeddings if knobs.freeze_scope == PUBLISHED else ()
    frozen = freeze(groups, knobs.freeze_depth, statistics=knobs.keep_statistics, spared=spared)
    with rounded(knobs, context.device):
        splits = splits_of(
            birds,
            GROUPING.names,
            TASKS[knobs.task],
            groups,
            knobs.cached_parts,
            context.device,
            changing=knobs.augmentation != NONE,
            fill=partial(fixed_set, knobs=knobs.rows, data=knobs.data.name, seed=knobs.seed, border=0.0),
        )
    counts: Row = {"pretrain_acc": pretrain_acc, "num_trainable": frozen.num_trainable, "num_frozen": frozen.num_frozen}
    names: Row = {"frozen_parameters": ", ".join(frozen.frozen), "cached_parts": splits.train.start}
    return groups, splits, {**counts, **names}


def rounded(knobs: FreezeDepthKnobs, device: torch.device) -> torch.autocast:
    """Return the context of forward passes; it must not outlast a row, since whoever reads the rows is inside then."""
    # Without a cache of rounded weights: within one context it would outlive the steps that change them.
    return torch.autocast(device.type, torch.bfloat16, enabled=knobs.precision == "bfloat16", cache_enabled=False)


def initial_network(knobs: FreezeDepthKnobs, context: TrialContext) -> tuple[Backbone, float | None]:
    """Return the network with a new head, and its accuracy in pretraining where that was in the sweep.

    Whatever its other parts' weights, what is drawn depends on the seed alone.

    Raises:
        ValueError: The weights cannot be read or do not fit, or the images are of another size than the network's.
    """
    with drawn_from(knobs.seed, "initialisation"):
        backbone = built(knobs.network, _sizes(knobs, pretrained=knobs.weights_source == LIBRARY))
    _refuse_images(backbone, knobs)
    if knobs.weights_source in WEIGHTS:
        state = WEIGHTS[knobs.weights_source](knobs.weights, knobs.weights_sha256)
        load_weights(backbone.groups, backbone.renamed(state), _source(knobs))
    backbone.groups.to(context.device)
    take_bytes(backbone, knobs.data.largest)
    stages = shared_pretraining(knobs)
    if not stages:
        return backbone, None
    result = context.result_of(pretrained, *stages)
    load_weights(backbone.groups, weights_of(result), f"pretraining on {knobs.pretrain.task}")
    return backbone, float(result[ACCURACY])


def refuse_what_does_not_fit(knobs: FreezeDepthKnobs) -> None:
    """Compare the knobs with the network that they name, and the network with its weights, before any trial begins.

    Of weights only names and shapes are read, and kept.

    Raises:
        ValueError: There is no such network, it has no such depth or no embeddings to spare, its images are of another
            size, it is to be linearised and cannot be, or the weights cannot be read or do not fit.
    """
    backbone = _outlined(knobs.network, _sizes(knobs))
    refuse_depth(knobs.freeze_depth, backbone.groups.names)
    _refuse_images(backbone, knobs)
    refuse_scope(knobs, embeddings=bool(backbone.embeddings))
    left = freeze(backbone.groups, knobs.freeze_depth, statistics=knobs.keep_statistics).num_trainable
    if not left:
        raise ValueError(f"freeze_depth={knobs.freeze_depth} leaves nothing of network={knobs.network} to train")
    knobs.refuse_rounds(statistics_move=backbone.groups.train().statistics_move)
    if knobs.feature_update_interval > 1 and not known(knobs.network):
        _refuse_no_linearisation(backbone, knobs)
    outline = _outline(knobs.weights_source, knobs.weights, knobs.weights_sha256)
    if outline is not None:
        refuse_unfit(backbone.groups, backbone.renamed(outline), _source(knobs))


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


def _sizes(knobs: FreezeDepthKnobs, *, pretrained: bool = False) -> Sizes:
    shape = {"width": knobs.width, "blocks": knobs.blocks, "side": knobs.data.pixels}
    return Sizes(classes=CLASSES, pretrained=pretrained, **shape)


def _refuse_images(backbone: Backbone, knobs: FreezeDepthKnobs) -> None:
    refuse_side(knobs, backbone.side if backbone.embeddings else 0)


def _source(knobs: FreezeDepthKnobs) -> str:
    """Return where the weights come from, in words."""
    return f"{knobs.weights_source} {knobs.weights}".strip()


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
