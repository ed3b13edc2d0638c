"""Copies of the training samples that every step draws anew, beside the originals.

A copy's view is drawn among the transforms of the arm. Where its noise is drawn as well, no step meets that noise
again. Orthogonal to all that training has met, it meets the first weights alone, and what a step adds along it no later
step sees. Training on projections is therefore exact for it too, and its state is that of the originals: a step joins
the copies to them, descends, and forgets the copies. This needs as many dimensions as noise is ever drawn; noise that
overlaps (a Gram matrix) would need all that was drawn before.

Source: the arms are those of Shen, Bubeck and Gunasekar, arXiv 2203.01572; that each step draws anew is a choice here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from trials.core.augmentation.draws import draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.multi_view.knobs import MultiViewKnobs


@dataclass(frozen=True, eq=False)
class FreshCopies:
    """The originals, and what each step of several trainings draws beside them.

    Attributes:
        seeds: Seed of each training.
        norms: Standard deviation of the first weights' projections on noise, of each training and noise patch.
        originals: Alignments of the samples.
        transformed: Alignments of every sample under every transform that a copy may draw, all equally often.
        copies: Copies of a sample in a step, the original not included.
        noise_of_own: Channels whose projections on noise of its own a copy has; 0 where copies share the original's.
    """

    seeds: Sequence[int]
    norms: Float[Tensor, "trials noises"]
    originals: Float[Tensor, "trials features samples sharing"]
    transformed: Float[Tensor, "trials features samples transforms"]
    copies: int
    noise_of_own: int

    def only(self, places: Int64[Tensor, " chosen"]) -> FreshCopies:
        """Return the copies of some of the trainings."""
        seeds = [self.seeds[place] for place in places.tolist()]
        chosen = {name: getattr(self, name)[places] for name in ("norms", "originals", "transformed")}
        return replace(self, seeds=seeds, **chosen)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return alignments of originals and copies of a step, and the projections on noise that it alone meets."""
        samples, transforms = self.transformed.shape[2:]
        if transforms == 1:  # no more than noise to draw
            return self.expected(step)
        drawn = torch.stack([drawn_transforms(each, step, samples, self.copies, transforms) for each in self.seeds])
        picked = drawn[:, None].expand(-1, self.transformed.shape[1], -1, -1).to(self.norms.device)
        return self._with_originals(self.transformed.gather(3, picked)[..., None]), self._passing(step)

    def expected(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the same with every copy under every transform: its losses are means over what transforms are drawn.

        The loss of a step's draw goes up and down, and the first to fall below a level would be a lucky one.
        """
        return self.alignments, self._passing(step)

    @property
    def alignments(self) -> Float[Tensor, "trials features draws sharing"]:
        """Those of originals and copies, every copy under every transform."""
        return self._with_originals(self.transformed[:, :, :, None].expand(-1, -1, -1, self.copies, -1))

    def _with_originals(self, copied: Float[Tensor, "trials features samples copies transforms"]) -> Tensor:
        # An original counts as much as a copy under all its transforms.
        originals = self.originals[..., None].expand(-1, -1, -1, -1, copied.shape[4])
        together = torch.cat([originals, copied], dim=3)
        # Copies follow the originals as draws of their own, or stand side by side at one draw, as in a set drawn once.
        return together.transpose(2, 3).flatten(2, 3) if self.noise_of_own else together.flatten(3)

    def _passing(self, step: int) -> Float[Tensor, "trials channels noises passing"]:
        if not self.noise_of_own:
            return self.norms.new_empty(0)
        sizes = (self.transformed.shape[2], self.copies, self.noise_of_own, self.norms.shape[1])
        normal = torch.stack([drawn_noise(seed, step, *sizes) for seed in self.seeds])
        return normal.to(self.norms.device) * self.norms[:, None, :, None]


def fresh_copies(
    knobs: Sequence[MultiViewKnobs], originals: Float[Tensor, "trials features samples 1"], norms: Tensor
) -> FreshCopies:
    """Return what each step of several trainings of one shape and arm sees, whose copies it draws."""
    first, views = knobs[0], knobs[0].views
    carried, others = originals[:, :views, :, 0], originals[:, views:, :, 0]
    moved = [torch.cat([carried.roll(shift, dims=1), others], dim=1) for shift in first.drawn_shifts]
    return FreshCopies(
        seeds=[each.seed for each in knobs],
        norms=norms,
        originals=originals,
        transformed=torch.stack(moved, dim=3),
        copies=first.copies - 1,
        noise_of_own=first.channels if first.arm.redraws_noise else 0,
    )


def drawn_transforms(seed: int, step: int, samples: int, copies: int, count: int) -> Int64[Tensor, "samples copies"]:
    """Return which of `count` transforms each copy of each sample draws at a step."""
    numbers = [draws(seed, samples, copy=copy, visit=step, stream="transforms")[:, 0] for copy in _besides(copies)]
    return (_float64(numbers) * count).long().T


def drawn_noise(
    seed: int, step: int, samples: int, copies: int, channels: int, noises: int
) -> Float[Tensor, "channels noises draws"]:
    """Return the first weights' projections on the noise that a step draws, for weights and noise of scale 1."""
    pairs = math.ceil(channels * noises / 2)
    of_copy = partial(draws, seed, samples, visit=step, stream="fresh_noise", lanes=2 * pairs)
    uniform = _float64([of_copy(copy=copy) for copy in _besides(copies)])
    # Box and Muller: two normal numbers from two uniform ones, so that what a sample draws is a block of fixed size.
    radius, angle = (-2 * (1 - uniform[..., :pairs]).log()).sqrt(), 2 * math.pi * uniform[..., pairs:]
    normal = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=2)[..., : channels * noises]
    return normal.flatten(0, 1).T.reshape(channels, noises, copies * samples)


def _besides(copies: int) -> range:
    return range(1, copies + 1)


def _float64(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float64))
