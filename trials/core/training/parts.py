"""What trains: all parameters, those behind the first parts of a network, or some of its parts by name.

A part is what one name before the first dot stands for: a layer, a stage, a module of layer groups.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from trials.core.choices import refuse_depth
from trials.core.data.examples import Examples
from trials.core.networks.chain import Chain, chain

if TYPE_CHECKING:
    from trials.core.data.examples import TrainingSet
    from trials.core.networks.network import Forward, Network
    from trials.core.parameters import Parameters

_CHUNK = 128


class Trainable(NamedTuple):
    """What is left to train of a network, and what comes before.

    Attributes:
        network: A function of the trained parameters.
        parameters: They.
        before: What inputs pass once and for all; None where they pass nothing.
    """

    network: Network
    parameters: Parameters
    before: Forward | None = None


def parts_of(shapes: Collection[str]) -> tuple[str, ...]:
    """Return the names of the parts in their order, of names of parameters."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in shapes))


def behind(network: Network, parameters: Parameters, depth: int) -> Trainable:
    """Return what trains behind the first `depth` parts; of a chain of layers these are cut off.

    Raises:
        ValueError: No part is left.
    """
    parts = parts_of(network.shapes)
    refuse_depth(depth, parts)
    if depth == 0:
        return Trainable(network, parameters)
    if not isinstance(network.forward, Chain):
        return of_parts(network, parameters, parts[depth:])
    layers = network.forward.layers
    weighted = [place for place, layer in enumerate(layers) if layer.shapes]
    before, after = layers[: weighted[depth]], chain(*layers[weighted[depth] :])
    fixed = {name: parameters[name] for layer in before for name in layer.shapes}
    passed = Chain(before)
    return Trainable(after, {name: parameters[name] for name in after.shapes}, lambda _, inputs: passed(fixed, inputs))


def of_parts(network: Network, parameters: Parameters, names: Collection[str]) -> Trainable:
    """Return what trains where only some parts do; the others stay what they are."""
    own = {name: value for name, value in parameters.items() if name.partition(".")[0] in names}
    fixed = {name: value for name, value in parameters.items() if name not in own}

    def beside_fixed(function: Forward) -> Forward:
        return lambda point, inputs: function({**fixed, **point}, inputs)

    left = replace(
        network,
        shapes={name: network.shapes[name] for name in own},
        forward=beside_fixed(network.forward),
        features=beside_fixed(network.features or network.forward),
    )
    return Trainable(left, own)


def masked(network: Network, kept: Parameters) -> Network:
    """Return the network as a function of the entries that a mask of 0 and 1 keeps: others get gradients of 0."""

    def of_kept(function: Forward) -> Forward:
        return lambda point, inputs: function({**point, **{name: point[name] * kept[name] for name in kept}}, inputs)

    return replace(network, forward=of_kept(network.forward), features=of_kept(network.features or network.forward))


def passed(rows: TrainingSet, before: Forward | None) -> TrainingSet:
    """Return rows with what the frozen parts make of them, computed once; the rows themselves where there are none."""
    if before is None:
        return rows
    with torch.no_grad():
        hidden = torch.cat([before({}, inputs) for inputs in rows.chunks(_CHUNK)])
    return Examples(inputs=hidden, labels=rows.labels, classes=rows.classes)
