"""Augmentation in the batch: windows against slices, draws that depend on nothing else, rows of a fixed size."""

from __future__ import annotations

import pytest
import torch

from trials.core.augmentation.crops import shifted


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("flips", [False, True])
def test_windows_are_slices_of_the_padded_images(dtype: torch.dtype, flips: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (20, 3, 6, 5), generator=generator).to(dtype)
    down, right = torch.randint(0, 5, (2, 20), generator=generator)
    flipped = torch.rand(20, generator=generator) < 0.5 if flips else None
    taken = shifted(images, down, right, flipped, 2)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    for at in range(20):
        window = padded[at, :, down[at] : down[at] + 6, right[at] : right[at] + 5]
        mirrored = flipped is not None and flipped[at]
        assert torch.equal(taken[at], window.flip(-1) if mirrored else window)
    assert taken.dtype == dtype
