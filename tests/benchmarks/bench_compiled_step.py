"""What compiled gradients (`compiled=true`) save of a step on a linearisation, and after how many steps that has paid.

Compiled code makes fewer passes over memory and issues fewer operations. A process compiles anew for each network and
batch size; it is quicker where another process of the machine has done so before, which is not counted here: the cache
is empty. The step is that of `jvp`. Arms take turns; a step's time is the processor's on a CPU and waited for on a GPU.

Run: python tests/benchmarks/bench_compiled_step.py
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from tests.benchmarks.turns import times_in_turns
from trials.core.gradients import compiled_network, linearised_gradient
from trials.core.losses.classification import cross_entropy
from trials.core.networks.chain import Chain
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.network import Network
from trials.core.parameters import Parameters, difference, moved_to
from trials.core.streams import generator
from trials.core.training.places import moved

REPEATS = 15
SECONDS_PER_REPEAT = 0.1
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# Name -> network, shape of an input, batch size.
CASES: dict[str, tuple[Network, tuple[int, ...], int]] = {
    "MLP 64-128-128-10 (digits), batch 32": (mlp((1, 8, 8), 10, width=128, depth=2), (1, 8, 8), 32),
    "CNN-S 16x16, batch 32": (cnn_small((3, 16, 16), 10), (3, 16, 16), 32),
    "CNN-L 32x32, batch 128": (cnn_large((3, 32, 32), 10), (3, 32, 32), 128),
}


def main() -> None:
    """Print for each network what a compiled step takes of a plain one, and the steps that compiling costs."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {DEVICE}, one thread, {REPEATS} interleaved repeats")
    for name, (network, shape, batch) in CASES.items():
        plain, compiled = (_step(compiled_network(network, wanted=wanted), shape, batch) for wanted in (False, True))
        with tempfile.TemporaryDirectory() as cache:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
            start = time.perf_counter()
            moved = compiled()
            waited = time.perf_counter() - start
        apart = max(float((moved[key] - value).abs().max()) for key, value in plain().items())
        times = times_in_turns({"plain": plain, "compiled": compiled}, repeats=REPEATS, seconds=SECONDS_PER_REPEAT)
        saved = statistics.median(times["plain"]) - statistics.median(times["compiled"])
        ratios = [measure(times["compiled"]) / measure(times["plain"]) for measure in (min, statistics.median)]
        pays = f"paid for after {waited / saved:,.0f} steps" if saved > 0 else "never paid for"
        print(f"{name}: plain step {min(times['plain']) * 1e6:,.0f} us, compiled {ratios[0]:.2f} (min)", end=" ")
        print(
            f"{ratios[1]:.2f} (median) of it; compiling takes {waited:.0f} s, {pays}; apart by {apart:.0e}", flush=True
        )


def _step(network: Network, shape: tuple[int, ...], batch: int) -> Callable[[], Parameters]:
    chain = network.forward
    if not isinstance(chain, Chain):
        raise TypeError(f"{network} is no chain")
    anchor = moved_to(network.initial(generator(0, "initialisation")), DEVICE, torch.float32)
    point = {name: value * 1.01 for name, value in anchor.items()}
    inputs = torch.randn(batch, *shape, generator=generator(0, "inputs")).to(DEVICE)
    labels = torch.randint(10, (batch,), generator=generator(0, "labels")).to(DEVICE)

    def step() -> Parameters:
        away = difference(point, anchor)
        return moved(
            point, linearised_gradient(chain, anchor, away, inputs, labels, cross_entropy.derivative(None)), 0.1
        )

    return step


if __name__ == "__main__":
    main()
