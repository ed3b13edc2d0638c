"""Knobs of fine-tuning over the frozen depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from trials.core.augmentation.knobs import FixedSetKnobs, distinct_count
from trials.core.knobs import NONE, knob
from trials.core.layer_groups.knobs import RoundsKnobs
from trials.core.training.schedules import batches_an_epoch
from trials.freeze_depth.birds.groups import TASKS
from trials.freeze_depth.birds.knobs import WATERBIRDS, BirdData, BirdPretrainKnobs
from trials.freeze_depth.contradictions import SCOPES, SOURCES, STRICT, refuse_contradictions
from trials.freeze_depth.networks.known import known

if TYPE_CHECKING:
    from trials.core.data.arrays import Arrays

OPTIMIZERS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {"sgd": ("sgd", 0.9), "sgd_no_momentum": ("sgd", 0.0), "adamw": ("adamw", 0.9)}
)
"""Name -> rule and momentum."""
PRECISIONS = ("float32", "bfloat16")
_DATA, _PRETRAIN, _ROWS = BirdData(), BirdPretrainKnobs(), FixedSetKnobs()


@dataclass(frozen=True, kw_only=True)
class FreezeDepthKnobs(RoundsKnobs):
    """All that decides the outcome of one fine-tuning.

    Raises:
        ValueError: The network has no such depth, or the knobs exclude each other.
    """

    task: str = knob("what is predicted: the bird or its background", "foreground", choices=tuple(TASKS))
    freeze_depth: int = knob("parts that are frozen, counted from the input", 0, unit="parts", at_least=0)
    freeze_scope: str = knob("strict, or class and place embeddings always train", STRICT, choices=SCOPES)
    network: str = knob("architecture; timm/NAME, torchvision/NAME and package.module:function too", "resnet", own=True)
    width: int = knob("channels of the first stage; resnet only", 16, unit="channels", at_least=1)
    blocks: int = knob("residual blocks a stage; resnet only", 1, unit="blocks", at_least=1)
    weights_source: str = knob("where weights come from that are not pretrained in the sweep", NONE, choices=SOURCES)
    weights: str = knob("path, URL or name of the weights", "")
    weights_sha256: str = knob("SHA-256 that the file of the weights must have, empty = any", "")
    pretrain: BirdPretrainKnobs = _PRETRAIN
    optimizer: str = knob("rule of a step; sgd has momentum 0.9", "sgd", choices=tuple(OPTIMIZERS), was="optimiser")
    learning_rate: float = knob("first learning rate of fine-tuning (lr_ft); falls on a cosine", 0.01, above=0)
    weight_decay: float = knob("weight decay of fine-tuning", 0.0, at_least=0)
    batch_size: int = knob("images a step", 64, unit="images", at_least=1)
    epochs: int = knob("epochs of fine-tuning", 8, unit="epochs", at_least=1)
    keep_statistics: bool = knob(
        "whether batch normalisation keeps its statistics in trained parts as well", False, was="statistics_fixed"
    )
    augmentation: str = knob("what is done to training images", NONE, choices=(NONE, "flip+resized_crop"))
    precision: str = knob("numbers of a forward pass; parameters are float32", "float32", choices=PRECISIONS)
    rows: FixedSetKnobs = _ROWS
    data: BirdData = _DATA

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_contradictions(self)
        network = known(self.network)
        normalised = network is not None and network.normalises and self.freeze_depth < len(network.parts) - 1
        self.refuse_rounds(statistics_move=normalised and not self.keep_statistics, precision=self.precision)
        self.rows.refuse_data(self.data.name)
        if self.augmentation != NONE:
            self.rows.refuse_ratio(f"augmentation={self.augmentation} shows others at each visit")

    @property
    def known_samples(self) -> int | None:
        """How many birds there are to train on: composites are made, the files of Waterbirds decide."""
        return None if self.data.name == WATERBIRDS else sum(self.data.composition.birds)

    def steps_on(self, samples: int) -> int:
        """Return how many steps the fine-tuning has; the last batch of an epoch has what is left."""
        distinct_count(samples, self.rows.ratio)
        return self.epochs * batches_an_epoch(samples, self.batch_size, whole=False)

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare these knobs with the training images, and with the network and the weights that they name.

        Raises:
            ValueError: No distinct image is left, or the network, its depths, images and weights do not fit each other.
        """
        if self.data.name == WATERBIRDS:
            self.refuse_beyond(len(arrays[WATERBIRDS].train_labels))
        from trials.freeze_depth.preparation import refuse_what_does_not_fit  # builds networks with torch

        refuse_what_does_not_fit(self)

    @property
    def cached_parts(self) -> int:
        """How many parts an image that never changes passes once and for all: none where one of them changes."""
        return self.freeze_depth if self.freeze_scope == STRICT else 0
