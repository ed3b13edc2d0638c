"""A batch of augmented images: from an index array in the batch, and image by image with torchvision.

Both arms take 128 images of 3x32x32 bytes from a set of 2,000 and flip and crop them with 4 pixels of padding, in CPU
time of one thread, interleaved in one run. Ratios are of the second arm over the first.

Run: python tests/benchmarks/bench_augmentation.py [repeats]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from torchvision.transforms import v2

from trials.core.augmentation.fixed_set import ARMS, filled
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.data.examples import Examples
from trials.core.data.images import Images
from trials.core.training.batches import epochs

REPEATS, BATCHES, BATCH, SIZE = 20, 15, 128, 2000


def main() -> None:
    """Print the shortest time of a batch in each arm, and the ratios."""
    torch.set_num_threads(1)
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    images = _images()
    samples = Examples(inputs=images.pixels, labels=images.labels, classes=images.classes)
    train = filled(samples, ARMS["fresh_aug"], TRANSFORMS["flip+crop4"], ratio=1.0, seed=0)
    one_by_one = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()])

    def indexed(chosen: torch.Tensor, visit: int) -> torch.Tensor:
        return images.normalised(train.at(chosen, visit).inputs)

    def looped(chosen: torch.Tensor, visit: int) -> torch.Tensor:
        return images.normalised(torch.stack([one_by_one(image) for image in images.pixels[chosen]]))

    times = [(_seconds(indexed, repeat), _seconds(looped, repeat)) for repeat in range(repeats)]
    ratios = [other / own for own, other in times]
    own, other = (min(arm) * 1e3 / BATCHES for arm in zip(*times, strict=True))
    print(f"{'index array':>12} {'one by one':>12} {'ratio: min':>11} {'median':>7}")
    print(f"{own:9.2f} ms {other:9.2f} ms {min(ratios):11.1f} {statistics.median(ratios):7.1f}")


def _images() -> Images:
    generator = torch.Generator().manual_seed(0)
    return Images(
        pixels=torch.randint(0, 256, (SIZE, 3, 32, 32), generator=generator, dtype=torch.uint8),
        labels=torch.randint(0, 10, (SIZE,), generator=generator),
        classes=10,
        slope=torch.full((3, 1, 1), 1 / 255),
        offset=torch.zeros(3, 1, 1),
    )


def _seconds(batch: Callable[[torch.Tensor, int], torch.Tensor], visit: int) -> float:
    """Return the time of a few batches of one visit, the visit's draws included."""
    start = time.process_time()
    for step in range(BATCHES):
        batch(epochs(0, SIZE, BATCH)(step), visit)
    return time.process_time() - start


if __name__ == "__main__":
    main()
