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
from trials.core.feature_learning.projections import Descent, Projections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.feature_learning.patch_data import PatchKnobs


@dataclass(frozen=True, eq=False)
class FreshCopies:
    """What each step of several trainings draws.

    Attributes:
        seeds: Seed of each training.
        scales: sigma_0 of each training.
        transformed: Alignments of every sample under every transform that a copy may draw, all equally often.
        copies: Copies of a sample in a step, the original not included.
        redraws_noise: Whether copies have noise of their own.
    """

    seeds: Int64[Tensor, " trials"]
    scales: Float[Tensor, " trials"]
    transformed: Float[Tensor, "trials features samples transforms"]
    copies: int
    redraws_noise: bool

    def only(self, kept: Int64[Tensor, " kept"]) -> FreshCopies:
        """Return the copies of some of the trainings."""
        chosen = self.seeds[kept], self.scales[kept], self.transformed[kept]
        return FreshCopies(*chosen, self.copies, self.redraws_noise)

    def drawn(self, descent: Descent, at: Projections, steps: Int64[Tensor, " trials"]) -> tuple[Descent, Projections]:
        """Return the descent on originals and copies of each training's step, and where it is."""
        samples, transforms = self.transformed.shape[2:]
        if transforms == 1:  # no more than noise to draw
            return self.expected(descent, at, steps)
        streams = zip(self.seeds.tolist(), steps.tolist(), strict=True)
        drawn = torch.stack([drawn_transforms(*stream, samples, self.copies, transforms) for stream in streams])
        picked = drawn[:, None].expand(-1, self.transformed.shape[1], -1, -1).to(steps.device)
        copied = self.transformed.gather(3, picked)[..., None]
        return self._with_originals(descent, copied), self._with_noise(descent, at, steps)

    def expected(
        self, descent: Descent, at: Projections, steps: Int64[Tensor, " trials"]
    ) -> tuple[Descent, Projections]:
        """Return the same with every copy under every transform: its losses are means over what transforms are drawn.

        The loss of a step's draw goes up and down, and the first to fall below a level would be a lucky one.
        """
        return self.under_all(descent), self._with_noise(descent, at, steps)

    def under_all(self, descent: Descent) -> Descent:
        """Return the descent on originals and copies, every copy under every transform."""
        return self._with_originals(descent, self.transformed[:, :, :, None].expand(-1, -1, -1, self.copies, -1))

    def _with_originals(
        self, descent: Descent, copied: Float[Tensor, "trials features samples copies transforms"]
    ) -> Descent:
        # An original counts as much as a copy under all its transforms.
        originals = descent.alignments[..., None].expand(-1, -1, -1, -1, copied.shape[4])
        together = torch.cat([originals, copied], dim=3)
        # Copies follow the originals as draws of their own, or stand side by side at one draw, as in a set drawn once.
        apart = self.redraws_noise
        return replace(descent, alignments=together.transpose(2, 3).flatten(2, 3) if apart else together.flatten(3))

    def _with_noise(self, descent: Descent, at: Projections, steps: Int64[Tensor, " trials"]) -> Projections:
        if not self.redraws_noise:
            return at
        samples, (channels, noises) = self.transformed.shape[2], at.noise.shape[1:3]
        streams = zip(self.seeds.tolist(), steps.tolist(), strict=True)
        normal = torch.stack([drawn_noise(*stream, samples, self.copies, channels, noises) for stream in streams])
        norms = self.scales[:, None] * descent.noise_magnitudes
        fresh = normal.to(steps.device) * norms[:, None, :, None]
        return Projections(at.features, torch.cat([at.noise, fresh], dim=3))


def fresh_copies(knobs: Sequence[PatchKnobs], scales: Sequence[float], descent: Descent) -> FreshCopies | None:
    """Return what each step of several trainings draws; None where the training set is drawn once.

    Args:
        knobs: Training sets of one shape and arm.
        scales: sigma_0, the standard deviation of the first weights.
        descent: The descents on the originals.
    """
    first = knobs[0]
    if not first.draws_every_step:
        return None
    device, views = descent.alignments.device, first.views
    carried, others = descent.alignments[:, :views, :, 0], descent.alignments[:, views:, :, 0]
    moved = [torch.cat([carried.roll(shift, dims=1), others], dim=1) for shift in first.drawn_shifts]
    return FreshCopies(
        seeds=torch.tensor([each.seed for each in knobs], device=device),
        scales=torch.tensor(scales, dtype=torch.float64, device=device),
        transformed=torch.stack(moved, dim=3),
        copies=first.copies - 1,
        redraws_noise=first.arm.redraws_noise,
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
