"""Images a second of fine-tuning CLIP's ViT-B/16 at each freeze depth, with and without cached prefixes.

Arms of a depth: `published` trains embeddings of class and places below the frozen blocks, so that every step passes
all blocks forwards and backwards; `strict` freezes them too, so that only the forward pass is left below; `cached`
reads what the frozen parts made of the images once. Weights are random, images noise, and all arms take turns. On a GPU
steps are in bfloat16 as in `space=clip`, and what is timed is what is waited for; else it is the processor's time of
one thread, with fewer depths and images.

Run: python tests/benchmarks/bench_vit_freezing.py [images a step] [repeats]
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from tests.benchmarks.turns import seconds_a_call
from trials.core.layer_groups.groups import LayerGroups, freeze
from trials.core.layer_groups.training import descent, of_groups
from trials.core.losses.classification import cross_entropy
from trials.core.streams import drawn_from
from trials.core.training.batches import Batch
from trials.freeze_depth.networks.known import CLIP_B16
from trials.freeze_depth.networks.vit import EMBEDDINGS, vit_groups

PUBLISHED, STRICT, CACHED = "published", "strict", "cached"


class Size(NamedTuple):
    """How much is timed: freeze depths, images a step, steps a turn and turns."""

    depths: tuple[int, ...]
    batch: int
    steps: int
    repeats: int


ON_GPU = Size(depths=(0, 1, 4, 7, 10, 13), batch=64, steps=20, repeats=3)
ON_CPU = Size(depths=(0, 7, 13), batch=2, steps=1, repeats=2)


def main() -> None:
    """Print a line for each depth and arm: images a second, over those of full fine-tuning, and memory on a GPU."""
    gpu = torch.cuda.is_available()
    size = _asked(ON_GPU if gpu else ON_CPU)
    torch.set_num_threads(1)
    device = torch.device("cuda" if gpu else "cpu")
    with drawn_from(0, "bench"):
        groups = vit_groups(3, 2, CLIP_B16).to(device)
        images = torch.randn(size.batch, 3, CLIP_B16.side, CLIP_B16.side).to(device)
    where = f"{torch.cuda.get_device_name()}, bfloat16" if gpu else "one thread of a CPU, float32"
    print(f"torch {torch.__version__}, {where}, {size.batch} images a step, {size.repeats} turns of {size.steps} steps")
    arms = [(depth, arm) for depth in size.depths for arm in ((STRICT, PUBLISHED, CACHED) if depth else (STRICT,))]
    turns = [
        {(depth, arm): _turn(groups, images, depth, arm, size) for depth, arm in arms} for _ in range(size.repeats)
    ]
    print(f"{'frozen':>6} {'arm':>10} {'images/s: median':>17} {'over depth 0: min':>18} {'median':>7} {'GiB':>6}")
    for depth, arm in arms:
        seconds, memory = zip(*(turn[depth, arm] for turn in turns), strict=True)
        ratios = [turn[0, STRICT][0] / turn[depth, arm][0] for turn in turns]
        speed = size.batch / statistics.median(seconds)
        told = f"{depth:6} {arm:>10} {speed:17.2f} {min(ratios):18.2f} {statistics.median(ratios):7.2f}"
        print(f"{told} {max(memory) / 2**30:6.2f}" if gpu else told)


def _asked(size: Size) -> Size:
    given = [int(argument) for argument in sys.argv[1:]]
    return size._replace(**dict(zip(("batch", "repeats"), given, strict=False)))


def _turn(groups: LayerGroups, images: torch.Tensor, depth: int, arm: str, size: Size) -> tuple[float, int]:
    """Return the seconds of a step and the most memory of tensors on a GPU."""
    device, gpu = images.device, images.device.type == "cuda"
    freeze(groups, depth, spared=EMBEDDINGS if arm == PUBLISHED else ())
    by, labels = descent(learning_rate=1e-4, momentum=0.9), torch.arange(len(images), device=device) % 2
    with torch.autocast(device.type, torch.bfloat16, enabled=gpu, cache_enabled=False):
        start = depth if arm == CACHED else 0
        with torch.no_grad():
            hidden = groups.eval().forward_range(images, 0, start)

        trained, place = of_groups(groups, cross_entropy, by.rule, start=start)
        batch = Batch(torch.arange(len(images), device=device), lambda rows: (hidden, labels))

        def step() -> None:
            nonlocal place
            place, _ = by(trained.on(batch), place, 0)

        seconds_a_call(step, 1)
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        return seconds_a_call(step, size.steps), torch.cuda.max_memory_allocated() if gpu else 0


if __name__ == "__main__":
    main()
