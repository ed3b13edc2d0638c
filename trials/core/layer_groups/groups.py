"""Layer groups: a network as an ordered list of named parts, the last its head, and the first of them frozen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple, Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trials.core.choices import refuse_depth

if TYPE_CHECKING:
    from jaxtyping import Float


class LayerGroups(nn.Module):
    """A network as parts, by name, that follow each other; its parameters are named `<part>.<name in the part>`.

    Attributes:
        names: Names of the parts in their order; the last one is the head.
        frozen_depth: How many parts, the first ones, stay in eval mode whatever mode the network is put in.
        keep_statistics: Whether batch normalisation stays in eval mode in all parts.

    Raises:
        ValueError: There are fewer than two parts, or a name is empty, has a dot or is taken by a module's own.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if len(parts) < 2:
            raise ValueError(f"layer groups need a part and a head, got {', '.join(parts) or 'nothing'}")
        for name, part in parts.items():
            if not name or "." in name or hasattr(self, name):
                raise ValueError(f"{name!r} cannot name a layer group: no dots, and nothing that a module has already")
            self.add_module(name, part)
        self.names = tuple(parts)
        self.frozen_depth = 0
        self.keep_statistics = False

    def __len__(self) -> int:
        return len(self.names)

    @property
    def last_part(self) -> nn.Module:
        """The last part, whatever its name."""
        return self.get_submodule(self.names[-1])

    def forward(self, inputs: Float[Tensor, "batch ..."], start: int = 0) -> Float[Tensor, "batch outputs"]:
        """Return the outputs of all parts from `start` on, one after the other."""
        return self.forward_range(inputs, start)

    def forward_range(
        self, hidden: Float[Tensor, "batch ..."], start: int = 0, stop: int | None = None
    ) -> Float[Tensor, "batch ..."]:
        """Return what parts up to the first `stop` (None means all) make of the activations after the first `start`.

        Raises:
            ValueError: The network has no such parts.
        """
        stop = len(self) if stop is None else stop
        if not 0 <= start <= stop <= len(self):
            listed = ", ".join(f"{number} = {name}" for number, name in enumerate(self.names, start=1))
            raise ValueError(f"no parts {start} to {stop} in a network of {len(self)} parts: {listed}")
        for name in self.names[start:stop]:
            hidden = self.get_submodule(name)(hidden)
        return hidden

    def train(self, mode: bool = True) -> Self:
        """Put the network in training mode, but for what is frozen; see `freeze`."""
        super().train(mode)
        # Without gradients a part's batch normalisation still moves its running statistics, unless it is in eval mode.
        for name in self.names[: self.frozen_depth]:
            self.get_submodule(name).eval()
        if self.keep_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    @property
    def statistics_move(self) -> bool:
        """Whether batch normalisation uses batches in this mode, so that what becomes of a sample depends on others."""
        return any(isinstance(module, _BatchNorm) and module.training for module in self.modules())


class Freezing(NamedTuple):
    """What is frozen: the parameters that stay, by name, how many numbers they have, and how many numbers train."""

    frozen: tuple[str, ...]
    num_frozen: int
    num_trainable: int


def freeze(groups: LayerGroups, depth: int, *, statistics: bool = False, spared: Collection[str] = ()) -> Freezing:
    """Freeze the first `depth` parts, free the others, and return what is frozen.

    Frozen parts keep their parameters and their running statistics: they have no gradients, and are in eval mode even
    after `groups.train()`.

    Args:
        groups: The network, changed in place.
        depth: How many parts are frozen.
        statistics: Whether batch normalisation of the trainable parts uses and keeps its running statistics as well.
        spared: Names of parameters that train at every depth; what a frozen part makes of an image then changes.

    Raises:
        ValueError: The network has no such depth.
    """
    refuse_depth(depth, groups.names)
    groups.frozen_depth, groups.keep_statistics = depth, statistics
    for number, name in enumerate(groups.names):
        groups.get_submodule(name).requires_grad_(number >= depth)
    for name in spared:
        groups.get_parameter(name).requires_grad_(True)
    groups.train(groups.training)
    frozen = {name: value.numel() for name, value in groups.named_parameters() if not value.requires_grad}
    total, stay = sum(value.numel() for value in groups.parameters()), sum(frozen.values())
    return Freezing(tuple(frozen), num_frozen=stay, num_trainable=total - stay)
