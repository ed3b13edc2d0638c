"""Names that the knobs choose from are those of the tables that say what they stand for."""

from __future__ import annotations

from trials.augmentation_ratio import knobs
from trials.augmentation_ratio.arms import ARMS
from trials.augmentation_ratio.image_networks import IMAGE_NETWORKS
from trials.augmentation_ratio.mixing import MIXINGS


def test_names_are_those_of_the_tables():
    assert tuple(ARMS) == knobs.ARMS
    assert tuple(MIXINGS) == knobs.MIXINGS
    assert tuple(IMAGE_NETWORKS) == tuple(knobs.NETWORKS)
