"""What knobs choose from, by name, and which names exclude each other.

Knobs know names alone, so that help, plans and the store's schema need no torch. What a name stands for is in a table
of the module that computes with it; a test holds the tables against these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LOSSES = ("cross_entropy", "mse")
OPTIMIZERS = ("sgd", "momentum", "adam")
LINEAR = ("sgd", "momentum")
"""Those of `OPTIMIZERS` whose step is linear in the gradients so far."""
GROUP_OPTIMIZERS = ("sgd", "adamw")
"""Optimizers of networks that train in place."""

HALF, TENSOR_FLOAT = "bfloat16", "tf32"
PRECISIONS: Mapping[str, int] = MappingProxyType({"float32": 4, "float64": 8, HALF: 4, TENSOR_FLOAT: 4})
"""Name -> bytes of a parameter; bfloat16 and tf32 are of products alone."""

CHAINS = ("mlp", "cnn_s", "cnn_l")
"""Networks that are chains of layers."""
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cnn_s": ("conv1", "conv2", "readout"),
        "cnn_l": ("conv1", "conv2", "conv3", "hidden", "readout"),
        "resnet18": ("stem", "stage1", "stage2", "stage3", "stage4", "readout"),
    }
)
"""Networks that are pure functions -> their parts from the input; those of a perceptron follow from its depth."""

TRANSFORMS = ("flip+crop4", "flip", "crop1", "crop2", "crop4", "crop8", "cutout8", "rotation10", "advanced")
MIRRORING = frozenset({"flip+crop4", "flip", "advanced"})
"""Transforms in which left and right may change places, which makes other signs of letters and digits."""
OF_BYTES = frozenset({"advanced"})
"""Transforms that compute with bytes alone, in whose images black is 0."""


def refuse_batch_normalisation(network: str) -> None:
    """Raise a `ValueError` where a network that is to be linearised has batch normalisation by its name."""
    if "bn" in network.lower().replace("batchnorm", "bn"):
        raise ValueError(
            f"network={network!r}: with batch normalisation the Jacobian of a sample depends on its batch, "
            "and no fixed features exist; take resnet18, which normalises groups of channels"
        )


def refuse_no_chain(network: str, asked: str) -> None:
    """Raise a `ValueError` where what is asked for needs a network that is a chain, and this is none by its name."""
    if network not in CHAINS:
        raise ValueError(f"{asked} needs a network that is a chain of layers, {', '.join(CHAINS)}: {network} is none")


def refuse_depth(depth: int, names: tuple[str, ...]) -> None:
    """Raise a `ValueError` where a network of these parts has none to freeze up to a depth, or no other."""
    if not 0 <= depth < len(names):
        listed = ["0 = nothing", *(f"{number} = up to {name}" for number, name in enumerate(names[:-1], start=1))]
        raise ValueError(f"freeze_depth={depth} is not one of {', '.join(listed)}; {names[-1]} always trains")
