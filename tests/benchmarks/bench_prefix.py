"""An epoch of fine-tuning EfficientNet-Lite0 on cached activations, against one on images with the same parts frozen.

Both arms take the same steps, in CPU time of one thread, interleaved in one run; the time to fill the cache stands
beside. A test compares the rows.

Run: python tests/benchmarks/bench_prefix.py [repeats]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.prefix import forget_activations, prefix_activations
from trials.core.layer_groups.training import descent, of_groups
from trials.core.losses.classification import cross_entropy
from trials.core.streams import drawn_from
from trials.core.training.batches import Batch, epochs
from trials.freeze_depth.networks.lite0 import lite0_groups

REPEATS, IMAGES, BATCH, SIDE = 3, 256, 64, 64
DEPTHS = (0, 6, 12, 18)


def main() -> None:
    """Print a line for each depth: seconds, and how much longer epochs on images, or of all parts, take."""
    torch.set_num_threads(1)
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    times = {depth: [_times(depth) for _ in range(repeats)] for depth in DEPTHS}
    whole = statistics.median(cached for _, cached, _ in times[0])
    print(
        f"{'depth':>5} {'fill s':>7} {'cached s':>9} {'uncached/cached: min':>21} {'median':>7} {'depth 0/cached':>15}"
    )
    for depth, of_depth in times.items():
        ratios = [uncached / cached for _, cached, uncached in of_depth]
        fill, cached = (statistics.median(arm) for arm in list(zip(*of_depth, strict=True))[:2])
        line = f"{depth:5} {fill:7.2f} {cached:9.3f} {min(ratios):21.1f} {statistics.median(ratios):7.1f}"
        print(f"{line} {whole / cached:15.1f}", flush=True)


def _times(depth: int) -> tuple[float, float, float]:
    """Return seconds to fill the cache, and of an epoch with and without it."""
    with drawn_from(0, "bench"):
        groups, images = lite0_groups(2), torch.randn(IMAGES, 3, SIDE, SIDE)
    labels = torch.arange(IMAGES) % 2
    freeze(groups, depth, statistics=True)
    forget_activations()
    fill = _seconds(lambda: prefix_activations(groups, [images], depth))
    (hidden,) = prefix_activations(groups, [images], depth)
    return (
        fill,
        _seconds(lambda: _epoch(groups, hidden, labels, depth)),
        _seconds(lambda: _epoch(groups, images, labels, 0)),
    )


def _epoch(groups, inputs, labels, start):
    step = descent(learning_rate=0.003, momentum=0.9)
    trained, place = of_groups(groups, cross_entropy, step.rule, start=start)
    for number in range(IMAGES // BATCH):
        batch = Batch(epochs(0, IMAGES, BATCH)(number), lambda rows: (inputs[rows], labels[rows]))
        place, _ = step(trained.on(batch), place, number)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
