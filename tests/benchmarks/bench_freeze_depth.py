"""Time of a sweep over freeze depths in which each trial does everything itself, over one with stage and prefixes.

The sweep is five depths at two learning rates. By itself each trial pretrains, and passes every image through its
frozen parts at each step; together they pretrain once, and frozen parts see each image once. Epochs are in the
proportion of the space `laptop`, images are noise of CIFAR-10's size. Both arms give equal rows. They take turns, so
that a busy machine slows both, and what is timed is the processor's time.

Run: python tests/benchmarks/bench_freeze_depth.py
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch

from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.core.layer_groups.prefix import forget_activations
from trials.spurious_cat_dog.knobs import CatDogKnobs, PretrainKnobs, ResidualKnobs
from trials.spurious_cat_dog.recipe import run

REPEATS = 2
TRAIN, TEST = 200, 100
DEPTHS, RATES = range(5), (0.02, 0.05)

Rows = list[Mapping[str, Any]]


def main() -> None:
    """Print the times of both arms and their ratio."""
    torch.set_num_threads(1)
    arrays = _images()
    print(f"torch {torch.__version__}, one thread, CPU time, {REPEATS} interleaved repeats, {TRAIN} images of 32x32")
    times: dict[str, list[float]] = {"alone": [], "shared": []}
    for _ in range(REPEATS):
        told = {}
        for arm, seconds in times.items():
            began = time.process_time()
            told[arm] = _sweep(arrays, shares=arm == "shared")
            seconds.append(time.process_time() - began)
        assert told["alone"] == told["shared"], "what is shared must change no row"
    ratios = [measure(times["alone"]) / measure(times["shared"]) for measure in (min, statistics.median)]
    trials = len(DEPTHS) * len(RATES)
    print(
        f"{trials} trials by themselves {min(times['alone']):.1f} s, with stage and prefix {min(times['shared']):.1f} s"
    )
    print(f"ratio {ratios[0]:.1f} (min), {ratios[1]:.1f} (median)")


def _sweep(arrays: Arrays, *, shares: bool) -> list[Rows]:
    """Run every trial and return their rows without the column that says whether a prefix was stored."""
    forget_activations()
    own = TrialContext(arrays=lambda name: arrays)
    computed = cache(lambda stage, knobs: stage(knobs, own))
    shared = TrialContext(
        arrays=lambda name: arrays, stage_results=lambda stage, knobs, context: computed(stage, knobs)
    )
    told = []
    for depth, rate in itertools.product(DEPTHS, RATES):
        rows = run(_knobs(depth, rate, prefix_cache=shares), shared if shares else own)
        told.append([{name: value for name, value in row.items() if name != "prefix_cached"} for row in rows])
    return told


def _knobs(depth: int, rate: float, *, prefix_cache: bool) -> CatDogKnobs:
    return CatDogKnobs(
        freeze_depth=depth,
        learning_rate=rate,
        prefix_cache=prefix_cache,
        epochs=6,
        batch_size=100,
        network=ResidualKnobs(width=12, blocks=1),
        pretrain=PretrainKnobs(epochs=15, batch_size=100, learning_rate=0.05),
    )


def _images() -> Arrays:
    random = np.random.default_rng(0)
    labels = np.arange(TRAIN + TEST) % 2
    inputs = random.integers(0, 256, (TRAIN + TEST, 3, 32, 32), dtype=np.uint8)
    return Arrays(
        train_inputs=inputs[:TRAIN], train_labels=labels[:TRAIN], test_inputs=inputs[TRAIN:], test_labels=labels[TRAIN:]
    )


if __name__ == "__main__":
    main()
