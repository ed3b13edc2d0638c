"""Networks of timm and torchvision as layer groups, where their modules follow each other in a chain.

Modules without parameters and normalisations belong to the part before them; the last module with parameters is the
head. That the chain is the network is not assumed but computed, on random images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from trials.core.layer_groups.groups import LayerGroups

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TRUNKS = frozenset({"blocks", "stages", "layers", "features"})
_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
_TOLERANCE = 1e-5
_MISFITS = (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, LookupError)


class Chain(NamedTuple):
    """A network of another library.

    Attributes:
        groups: Its layer groups.
        mean: Of each channel, what its weights expect to have been taken off, on a scale from 0 to 1.
        deviation: Of each channel, what they expect to have been divided by.
        side: Pixels of an image's side that it was made for.
        names: Name of a tensor in the library -> its name in the groups.
        embeddings: Names of embeddings of classes and places.
    """

    groups: LayerGroups
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    side: int
    names: Mapping[str, str]
    embeddings: tuple[str, ...] = ()


def timm_chain(name: str, classes: int, *, pretrained: bool) -> Chain:
    """Return a network of timm.

    Raises:
        ValueError: timm has no such network or no weights for it, or the network is no chain.
    """
    import timm
    from timm.models.vision_transformer import VisionTransformer

    network = _made("timm", name, lambda: timm.create_model(name, pretrained=pretrained, num_classes=classes))
    given = network.pretrained_cfg
    transformer, side = isinstance(network, VisionTransformer), given["input_size"][-1]
    candidates = [_transformer_parts(network)] if transformer else _candidates(network)
    groups = _checked(name, network, candidates, side)
    embeddings = tuple(f"embed.{kind}" for kind in ("cls_token", "pos_embed") if transformer)
    return Chain(groups, tuple(given["mean"]), tuple(given["std"]), side, _names(network, groups), embeddings)


def torchvision_chain(name: str, classes: int, *, pretrained: bool) -> Chain:
    """Return a network of torchvision, with a new head.

    Raises:
        ValueError: torchvision has no such network or no weights for it, or the network is no chain.
    """
    from torchvision.models import get_model

    network = _made("torchvision", name, lambda: get_model(name, weights="DEFAULT" if pretrained else None))
    groups = _checked(name, network, _candidates(network), 224)
    *trunk, head = groups.names
    linear = [module for module in groups.readout.modules() if isinstance(module, nn.Linear)][-1]
    # What is before the last linear map, as in VGG, stays with the part before it.
    modules = {part: groups.get_submodule(part) for part in trunk}
    modules[trunk[-1]] = nn.Sequential(modules[trunk[-1]], *_before(groups.readout, linear))
    renewed = LayerGroups({**modules, head: nn.Linear(linear.in_features, classes)})
    return Chain(renewed, IMAGENET_MEAN, IMAGENET_DEVIATION, 224, _names(network, renewed))


LIBRARIES: Mapping[str, Callable[..., Chain]] = MappingProxyType({"timm": timm_chain, "torchvision": torchvision_chain})
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


def _names(network: nn.Module, groups: LayerGroups) -> dict[str, str]:
    """Return the library's names of tensors and ours, those of a head that was replaced as the head's."""
    ours = {id(value): name for name, value in groups.state_dict(keep_vars=True).items()}
    theirs = network.state_dict(keep_vars=True)
    return {name: ours.get(id(value), f"{groups.names[-1]}.{name}") for name, value in theirs.items()}


def _candidates(network: nn.Module) -> list[dict[str, nn.Module]]:
    """Return what the parts may be: heads take vectors or places, which their modules do not tell."""
    return [_parts(network, nn.Flatten()), _parts(network, nn.Identity())]


def _parts(network: nn.Module, before_head: nn.Module) -> dict[str, nn.Module]:
    """Return the modules of a network in the order of its children, the stages of its trunk apart."""
    parts: dict[str, list[nn.Module]] = {}
    for name, module in _stages(network):
        bare = not any(True for _ in module.parameters())
        if parts and (bare or isinstance(module, _NORMS)):
            parts[next(reversed(parts))].append(module)
        else:
            parts[name] = [module]
    *trunk, head = parts
    modules: dict[str, nn.Module] = {name: nn.Sequential(*parts[name]) for name in trunk}
    modules[trunk[-1]] = nn.Sequential(*parts[trunk[-1]], before_head)
    return {**modules, "head": nn.Sequential(*parts[head])}


def _stages(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in network.named_children():
        if name in _TRUNKS and isinstance(module, nn.Sequential):
            yield from ((f"{name} {number}", inner) for number, inner in enumerate(module, start=1))
        else:
            yield name, module


def _before(head: nn.Module, linear: nn.Module) -> list[nn.Module]:
    """Return the modules of a head before its last linear map."""
    inner = [module for module in head.modules() if not any(True for _ in module.children())]
    return inner[: inner.index(linear)]


def _transformer_parts(network: Any) -> dict[str, nn.Module]:
    blocks = {f"block {number}": block for number, block in enumerate(network.blocks, start=1)}
    return {"embed": _TimmEmbedding(network), **blocks, "tail": _TimmTail(network), "head": network.head}


class _TimmEmbedding(nn.Module):
    """What timm's vision transformers do before their blocks."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.patch_embed, self.norm_pre = network.patch_embed, network.norm_pre
        self.cls_token, self.pos_embed = network.cls_token, network.pos_embed

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch_embed(images)
        first = self.cls_token.expand(len(images), -1, -1)
        return self.norm_pre(torch.cat([first, tokens], 1) + self.pos_embed)


class _TimmTail(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.norm, self.fc_norm = network.norm, network.fc_norm

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc_norm(self.norm(tokens)[:, 0])


def _checked(name: str, network: nn.Module, candidates: Sequence[Mapping[str, nn.Module]], side: int) -> LayerGroups:
    """Return the first candidate that computes what the network does, as layer groups.

    Raises:
        ValueError: None of them does.
    """
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    network.eval()
    with torch.no_grad():
        expected = network(images)
        for parts in candidates:
            with contextlib.suppress(*_MISFITS):
                groups = LayerGroups(parts).eval()
                found = groups(images)
                if found.shape == expected.shape and float((found - expected).abs().max()) <= _TOLERANCE:
                    return groups
    listed = ", ".join(candidates[0])
    raise ValueError(f"network {name!r} is no chain of its modules ({listed}), so that it has no freeze depths")
