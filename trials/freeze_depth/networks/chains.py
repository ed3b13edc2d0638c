"""Networks of timm and torchvision as layer groups: vision transformers, and chains of modules.

In a chain, modules without parameters and normalisations belong to the part before them; the last module with
parameters is the head. That the parts are the network is not assumed but computed, on random images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from trials.core.layer_groups.groups import LayerGroups
from trials.freeze_depth.networks.transformers import timm_transformer, torchvision_transformer

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TRUNKS = frozenset({"blocks", "stages", "layers", "features"})
_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
_TOLERANCE = 1e-5
_NOISE = 0.02
_SIDE = 224  # pixels; what torchvision's networks were made for
# What the parts may end with: what heads take and what is done before is in no module.
_BEFORE_HEADS: Sequence[Callable[[], nn.Module]] = (
    nn.Flatten,
    nn.Identity,
    lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    lambda: nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
)
_MISFITS = (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, LookupError)


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network and what it expects.

    Attributes:
        groups: The network.
        mean: Of each channel, on a scale from 0 to 1; taken off the images.
        deviation: Of each channel; what the images are divided by.
        side: Pixels of an image's side, 0 where any will do.
        embeddings: Names of embeddings of classes and places.
        names: Name of a tensor in the network's own library -> its name here.
    """

    groups: LayerGroups
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    side: int = 0
    embeddings: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors that may bear the library's names under ours."""
        return {self.names.get(name, name): value for name, value in state.items()}


def timm_chain(name: str, classes: int, *, pretrained: bool) -> Backbone:
    """Return a network of timm.

    Raises:
        ValueError: timm has no such network or no weights for it, or the network is no chain.
    """
    import timm
    from timm.models.vision_transformer import VisionTransformer

    network = _made("timm", name, lambda: timm.create_model(name, pretrained=pretrained, num_classes=classes))
    given = network.pretrained_cfg
    side, transformer = given["input_size"][-1], isinstance(network, VisionTransformer)
    candidates = [timm_transformer(network)] if transformer else _parts(network)
    groups = _checked(name, network, candidates, side)
    return _chain(network, groups, tuple(given["mean"]), tuple(given["std"]), side)


def torchvision_chain(name: str, classes: int, *, pretrained: bool) -> Backbone:
    """Return a network of torchvision, with a new head.

    Raises:
        ValueError: torchvision has no such network or no weights for it, or the network is no chain.
    """
    from torchvision.models import VisionTransformer, get_model

    network = _made("torchvision", name, lambda: get_model(name, weights="DEFAULT" if pretrained else None))
    side, transformer = getattr(network, "image_size", _SIDE), isinstance(network, VisionTransformer)
    candidates = [torchvision_transformer(network)] if transformer else _parts(network)
    groups = _renewed(name, _checked(name, network, candidates, side), classes)
    return _chain(network, groups, IMAGENET_MEAN, IMAGENET_DEVIATION, side)


LIBRARIES: Mapping[str, Callable[..., Backbone]] = MappingProxyType(
    {"timm": timm_chain, "torchvision": torchvision_chain}
)
"""Library -> (name, classes, pretrained) -> its network."""


def _made(library: str, name: str, make: Callable[[], Any]) -> Any:
    try:
        network = make()
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{library} cannot make network {library}/{name}: {reason}") from error
    _certain(network)
    return network


def _certain(network: nn.Module) -> None:
    """Let nothing be left out at random, which would depend on more than the seed and the step."""
    modules: list[Any] = list(network.modules())
    for module in modules:
        if isinstance(module, _DropoutNd) or type(module).__name__ == "StochasticDepth":
            module.p = 0.0


def _chain(
    network: nn.Module, groups: LayerGroups, mean: tuple[float, ...], deviation: tuple[float, ...], side: int
) -> Backbone:
    """Return a network's layer groups with what they expect; embeddings are the first part's own parameters."""
    first = groups.names[0]
    own = groups.get_submodule(first).named_parameters(recurse=False)
    embeddings = tuple(f"{first}.{name}" for name, _ in own)
    names = _names(network, groups)
    return Backbone(groups=groups, mean=mean, deviation=deviation, side=side, names=names, embeddings=embeddings)


def _names(network: nn.Module, groups: LayerGroups) -> dict[str, str]:
    """Return the library's names of tensors and ours, those of a head that was replaced as the head's."""
    ours = {id(value): name for name, value in groups.state_dict(keep_vars=True).items()}
    theirs = network.state_dict(keep_vars=True)
    return {name: ours.get(id(value), f"{groups.names[-1]}.{name}") for name, value in theirs.items()}


def _parts(network: nn.Module) -> list[dict[str, nn.Module]]:
    """Return what the parts may be: the modules in the order of its children, the stages of its trunk apart."""
    parts: dict[str, list[nn.Module]] = {}
    for name, module in _stages(network):
        bare = not any(True for _ in module.parameters())
        if parts and (bare or isinstance(module, _NORMS)):
            parts[next(reversed(parts))].append(module)
        else:
            parts[name] = [module]
    *trunk, head = parts
    modules: dict[str, nn.Module] = {name: nn.Sequential(*parts[name]) for name in trunk}
    modules["head"] = nn.Sequential(*parts[head])
    last = trunk[-1]
    return [{**modules, last: nn.Sequential(*parts[last], before_head())} for before_head in _BEFORE_HEADS]


def _stages(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in network.named_children():
        if name in _TRUNKS and isinstance(module, nn.Sequential):
            yield from ((f"{name} {number}", inner) for number, inner in enumerate(module, start=1))
        else:
            yield name, module


def _renewed(name: str, groups: LayerGroups, classes: int) -> LayerGroups:
    """Return the parts with a new head; what is before its last linear map, as in VGG, joins the part before it.

    Raises:
        ValueError: The head has no linear map.
    """
    *trunk, head = groups.names
    inner = [module for module in groups.last_part.modules() if not any(True for _ in module.children())]
    linear = [place for place, module in enumerate(inner) if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError(f"the head of network {name!r} has no linear map that another could take the place of")
    before, last = inner[: linear[-1]], cast("nn.Linear", inner[linear[-1]])
    modules = {part: groups.get_submodule(part) for part in trunk}
    if before:
        modules[trunk[-1]] = nn.Sequential(modules[trunk[-1]], *before)
    return LayerGroups({**modules, head: nn.Linear(last.in_features, classes)})


def _checked(name: str, network: nn.Module, candidates: Sequence[Mapping[str, nn.Module]], side: int) -> LayerGroups:
    """Return the first candidate that computes what the network does, as layer groups.

    Raises:
        ValueError: None of them does.
    """
    random = torch.Generator().manual_seed(0)
    images = torch.randn(1, 3, side, side, generator=random)
    network.eval()
    with torch.no_grad(), _telling(network, random):
        expected = network(images)
        for parts in candidates:
            with contextlib.suppress(*_MISFITS):
                groups = LayerGroups(parts).eval()
                found = groups(images)
                if found.shape == expected.shape and float((found - expected).abs().max()) <= _TOLERANCE:
                    return groups
    listed = ", ".join(candidates[0])
    raise ValueError(f"network {name!r} is no chain of its modules ({listed}), so that it has no freeze depths")


@contextlib.contextmanager
def _telling(network: nn.Module, random: torch.Generator) -> Iterator[None]:
    """Let parameters that begin at zero, as some heads do, be noise for a while: behind zeros all parts are alike."""
    zeros = [value for value in network.parameters() if not value.any()]
    for value in zeros:
        value.normal_(std=_NOISE, generator=random)
    try:
        yield
    finally:
        for value in zeros:
            value.zero_()
