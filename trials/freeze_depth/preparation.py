"""What a fine-tuning over the frozen depth begins with."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.fixed_set import fixed_set
from trials.core.knobs import NONE
from trials.core.layer_groups.groups import freeze
from trials.freeze_depth.birds.groups import GROUPING, TASKS
from trials.freeze_depth.birds.networks import initial_network
from trials.freeze_depth.birds.sets import birds_of
from trials.freeze_depth.fine_tuning.knobs import PUBLISHED
from trials.freeze_depth.fine_tuning.splits import splits_of

if TYPE_CHECKING:
    from trials.core.context import TrialContext
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.rows import Row
    from trials.freeze_depth.fine_tuning.splits import Splits
    from trials.freeze_depth.knobs import FreezeDepthKnobs


def prepared(knobs: FreezeDepthKnobs, context: TrialContext) -> tuple[LayerGroups, Splits, Row]:
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
            fill=partial(fixed_set, knobs=knobs.rows, data=knobs.data, seed=knobs.seed, border=0.0),
        )
    return (
        groups,
        splits,
        {
            "pretrain_acc": pretrain_acc,
            "num_trainable": frozen.num_trainable,
            "num_frozen": frozen.num_frozen,
            "frozen_parameters": ", ".join(frozen.frozen),
            "cached_parts": splits.train.start,
        },
    )


def rounded(knobs: FreezeDepthKnobs, device: torch.device) -> torch.autocast:
    """Return the context of forward passes; it must not outlast a row, since whoever reads the rows is inside then."""
    # Without a cache of rounded weights: within one context it would outlive the steps that change them.
    return torch.autocast(device.type, torch.bfloat16, enabled=knobs.precision == "bfloat16", cache_enabled=False)
