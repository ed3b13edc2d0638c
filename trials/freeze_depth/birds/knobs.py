"""Knobs of birds: which of them a trial sees, and how networks are pretrained on the other classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trials.core.choices import TRANSFORMS
from trials.core.data.records import data_set
from trials.core.knobs import NONE, Knobs, knob
from trials.freeze_depth.birds.groups import GROUPS, TRAIN_COUNTS, confounded_counts

if TYPE_CHECKING:
    from trials.core.data.arrays import Arrays
    from trials.freeze_depth.knobs import FreezeDepthKnobs

CLASSES = 2
WATERBIRDS = "waterbirds"
COMPOSED = ("digits", "cifar10")


class Composition(NamedTuple):
    """What composites are made of.

    Attributes:
        scale: Images as a part of the released Waterbirds' training and validation set.
        strength: Share of either class that is in its own place in training.
        test_per_group: Test images of each group.
        draw: Which images meet.
    """

    scale: float
    strength: float
    test_per_group: int
    draw: int

    @property
    def birds(self) -> tuple[int, int]:
        """How many landbirds and waterbirds there are to train on."""
        land, water = (round(self.scale * sum(TRAIN_COUNTS[first : first + 2])) for first in (0, 2))
        return land, water


@dataclass(frozen=True, kw_only=True)
class BirdData(Knobs):
    """Which birds a trial sees. Where their images lie is not a knob: it decides no outcome.

    Variants of Waterbirds differ by their confounder, which is therefore told and held against their groups.
    """

    name: str = knob("data set: Waterbirds, or what composites are made of", "digits", choices=(*COMPOSED, WATERBIRDS))
    confounder_strength: float = knob("share of either class that is in its own place", 0.95, at_least=0, at_most=1)
    scale: float = knob("images as a part of the released set's; composites only", 0.25, above=0, at_most=1)
    test_per_group: int = knob("test images of each group; composites only", 250, unit="images", at_least=1)
    draw: int = knob("which images meet; composites only", 0, at_least=0)
    side: int = knob("pixels of an image's side as the network sees it, 0 = as it is", 0, unit="pixels", at_least=0)

    def refuse_misfit(self, arrays: Arrays) -> None:
        """Compare these knobs with the data, at no cost.

        Raises:
            ValueError: A class has too few images for the composites, or Waterbirds have another confounder.
        """
        if self.name != WATERBIRDS:
            # Composites compute with torch, which knobs of a plan do without.
            from trials.freeze_depth.birds.composites import refuse_composition

            refuse_composition(arrays, self.composition)
            return
        counts = np.bincount(arrays.train_labels, minlength=GROUPS)
        land, water = (int(of_class.sum()) for of_class in np.split(counts, 2))
        expected = confounded_counts(land, water, self.confounder_strength)
        if tuple(counts) != expected:
            raise ValueError(
                f"data_confounder_strength={self.confounder_strength:g} makes training groups of {expected}, "
                f"and these Waterbirds have {tuple(counts.tolist())}"
            )

    @property
    def largest(self) -> float:
        """Value of white."""
        return data_set(self.name).largest

    @property
    def pixels(self) -> int:
        """Pixels of an image's side as the network sees it."""
        own = data_set(self.name).shape[-1]
        return self.side or (own if self.name == WATERBIRDS else 2 * own)  # a composite is as large as its background

    @property
    def composition(self) -> Composition:
        """What composites are made of."""
        return Composition(self.scale, self.confounder_strength, self.test_per_group, self.draw)


@dataclass(frozen=True, kw_only=True)
class BirdPretrainKnobs(Knobs):
    """How a network is pretrained in the sweep."""

    task: str = knob("what pretraining in the sweep predicts", NONE, choices=(NONE, "fg", "bg", "class6"))
    images: int = knob("images of pretraining", 6000, unit="images", at_least=1)
    epochs: int = knob("epochs of pretraining", 10, unit="epochs", at_least=1)
    batch_size: int = knob("images a step of pretraining", 100, unit="images", at_least=1)
    learning_rate: float = knob("first learning rate of pretraining", 0.05, above=0)
    augmentation: str = knob("transform of its images", "flip+crop4", choices=(NONE, *TRANSFORMS))


_DATA, _PRETRAIN = BirdData(), BirdPretrainKnobs()


@dataclass(frozen=True, kw_only=True)
class StageKnobs(Knobs):
    """All that decides the outcome of pretraining."""

    seed: int = knob("seed of every random stream", 0, at_least=0)
    network: str = knob("architecture", "resnet")
    width: int = knob("channels of the first stage; resnet only", 16)
    blocks: int = knob("residual blocks a stage; resnet only", 1)
    data: BirdData = _DATA
    pretrain: BirdPretrainKnobs = _PRETRAIN


def shared_pretraining(knobs: FreezeDepthKnobs) -> tuple[StageKnobs, ...]:
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
