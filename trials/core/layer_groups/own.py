"""Networks of a user's own: any module of PyTorch, made by `package.module:function`, as layer groups.

The function is called with the shape of a sample and the number of classes. Parts, which freezing counts, are the
module's children in their order, where one after the other they compute what the module does; what has no parameters
belongs to the part before it. Any other module has no parts.
"""

from __future__ import annotations

import copy
import os
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trials.core.choices import refuse_depth
from trials.core.layer_groups.groups import LayerGroups, freeze
from trials.core.layer_groups.training import GroupsForward
from trials.core.linearisation import linearised
from trials.core.losses.classification import cross_entropy
from trials.core.networks.network import Network
from trials.core.training.batches import Batch

if TYPE_CHECKING:
    from trials.core.parameters import Parameters

Shape = tuple[int, ...]

_TOLERANCE, _NOISE = 1e-5, 0.1
_BY_CHANCE = ("Dropout", "DropPath", "StochasticDepth")


def own_groups(name: str, shape: Shape, classes: int, depth: int = 0) -> LayerGroups:
    """Return a network of a user's own, its weights drawn from PyTorch's global generator.

    Args:
        name: `package.module:function`; the function is called with `shape` and `classes`.
        shape: Of a sample.
        classes: Outputs.
        depth: How many parts are to be frozen.

    Raises:
        ValueError: It cannot be imported or called, returns no module, its outputs have another shape, it leaves
            something out at random, or it has no such depth; the message is one line.
    """
    module = _made(name, shape, classes)
    inputs = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    _refuse_outputs(name, module, inputs, classes)
    for inner in module.modules():
        shares: list[Any] = [getattr(inner, name, 0.0) for name in ("p", "drop_prob")]
        if type(inner).__name__.startswith(_BY_CHANCE) and any(shares):
            raise ValueError(
                f"network={name} has {type(inner).__name__}, whose draws no seed of a trial decides; give it p=0"
            )
    if isinstance(module, LayerGroups):
        groups = module
    elif (parts := dict(_parts(module))) and len(parts) > 1 and _is_chain(module, inputs):
        groups = LayerGroups(parts)
    elif depth:
        listed = ", ".join(child for child, _ in module.named_children()) or "none"
        raise ValueError(f"network={name} is no chain of its children ({listed}), so it has no part to freeze")
    else:
        groups = LayerGroups({"network": module, "head": nn.Identity()})
    refuse_depth(depth, groups.names)
    return groups


@lru_cache(maxsize=16)  # a sweep has many trials of few networks
def _outlined(name: str, shape: Shape, classes: int, depth: int) -> LayerGroups:
    with torch.random.fork_rng(devices=[]):
        return own_groups(name, shape, classes, depth)


def refuse_own(
    name: str, shape: Shape, classes: int, *, depth: int = 0, statistics: bool = False, interval: int = 1
) -> bool:
    """Build a network of a user's own before any trial begins, and return whether it normalises by batches.

    Args:
        name: `package.module:function`.
        shape: Of a sample.
        classes: Outputs.
        depth: How many parts are to be frozen.
        statistics: Whether batch normalisation keeps its statistics.
        interval: Steps between linearisations; above 1 the network must have derivatives of its derivative.

    Raises:
        ValueError: See `own_groups`; or PyTorch does not know a derivative.
    """
    groups = _outlined(name, shape, classes, depth)
    freeze(groups, depth, statistics=statistics)
    moves = groups.train().statistics_move
    if interval > 1 and not moves:
        values = {part: each.detach() for part, each in groups.named_parameters() if each.requires_grad}
        batch = Batch(torch.arange(2), lambda rows: (torch.ones(2, *shape), rows))
        forward = GroupsForward(groups, own={}, start=0, statistics_move=False)
        try:
            linearised(forward, values).slope(dict(values), batch, cross_entropy)
        except RuntimeError as error:
            asked = f"feature_update_interval={interval}"
            raise ValueError(f"{asked} needs second derivatives, which network={name} lacks: {_line(error)}") from None
    return moves


def no_fixed_features(name: str) -> ValueError:
    """Return the refusal of a network that is to be linearised and normalises by batches."""
    return ValueError(
        f"network={name} has batch normalisation, with which the Jacobian of a sample depends on its batch, and no "
        "fixed features exist; normalise groups of channels"
    )


@dataclass(frozen=True, kw_only=True)
class OwnNetwork(Network):
    """A module of a user's own as a pure function of its parameters.

    Attributes:
        name: `package.module:function`.
        shape: Of a sample.
        classes: Outputs.
    """

    name: str
    shape: Shape
    classes: int

    def initial(self, generator: torch.Generator) -> Parameters:
        """Return the parameters as the module draws them, a function of the generator's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(generator.initial_seed())
            return _values(own_groups(self.name, self.shape, self.classes))


def own_network(name: str, shape: Shape, classes: int, depth: int, device: torch.device, dtype: torch.dtype) -> Network:
    """Return a network of a user's own as a function that can be linearised; see `own_groups`.

    Raises:
        ValueError: As there, or it has batch normalisation.
    """
    with torch.random.fork_rng(devices=[]):
        groups = own_groups(name, shape, classes, depth)
    if any(isinstance(inner, _BatchNorm) for inner in groups.modules()):
        raise no_fixed_features(name)
    shapes = {part: tuple(value.shape) for part, value in _values(groups).items()}
    forward = GroupsForward(groups.to(device, dtype), own={}, start=0, statistics_move=False)
    return OwnNetwork(shapes=shapes, forward=forward, name=name, shape=shape, classes=classes)


def _values(groups: LayerGroups) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in groups.named_parameters()}


def _made(name: str, shape: Shape, classes: int) -> nn.Module:
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # as `python -m` has it
    try:
        make = pkgutil.resolve_name(name)
    except Exception as error:  # noqa: BLE001 - a module of a user's own may raise anything as it is imported
        raise ValueError(f"network={name} cannot be imported: {_line(error)}") from None
    try:
        module = make(shape, classes)
    except Exception as error:  # noqa: BLE001 - and so may the function
        called = f"{name.partition(':')[2]}({shape}, {classes})"
        raise ValueError(
            f"network={name}: {called}, with the shape of a sample and the classes: {_line(error)}"
        ) from None
    if not isinstance(module, nn.Module):
        raise ValueError(f"network={name} returns {type(module).__name__}; it must return a torch.nn.Module")
    return module


def _refuse_outputs(name: str, module: nn.Module, inputs: Tensor, classes: int) -> None:
    try:
        with torch.no_grad():
            outputs = module.eval()(inputs)
    except Exception as error:  # noqa: BLE001 - a forward pass of a user's own may raise anything
        raise ValueError(
            f"network={name} does not take inputs of shape {tuple(inputs.shape)}: {_line(error)}"
        ) from None
    if not isinstance(outputs, Tensor) or outputs.shape != (len(inputs), classes):
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"network={name} makes {found} of {len(inputs)} inputs; it must be ({len(inputs)}, {classes})")
    if not any(True for _ in module.parameters()):
        raise ValueError(f"network={name} has no parameters to train")
    module.train()


def _parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the children with parameters by name, each with those without that follow it; the first with all before."""
    gathered: list[tuple[str, list[nn.Module]]] = []
    before: list[nn.Module] = []
    for name, child in module.named_children():
        if any(True for _ in child.parameters()):
            taken = hasattr(LayerGroups, name) or name in ("names", "frozen_depth", "keep_statistics", "training")
            gathered.append((f"part_{name}" if taken else name, [*before, child]))
            before = []
        else:
            (gathered[-1][1] if gathered else before).append(child)
    yield from ((name, inner[0] if len(inner) == 1 else nn.Sequential(*inner)) for name, inner in gathered)


def _is_chain(module: nn.Module, inputs: Tensor) -> bool:
    """Return whether the parts one after the other compute what the module does.

    Parameters that begin at zero are noise for this: behind zeros all chains are alike.
    """
    module = copy.deepcopy(module).eval()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.parameters():
            if not value.any():
                value.normal_(std=_NOISE, generator=random)
        expected = module(inputs)
        try:
            found = LayerGroups(dict(_parts(module))).eval()(inputs)
        except Exception:  # noqa: BLE001 - children that are no chain may refuse each other's outputs in any way
            return False
    return found.shape == expected.shape and bool(torch.allclose(found, expected, atol=_TOLERANCE))


def _line(error: Exception) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
