"""What `torch.compile` would save of a step on a linearisation, and after how many steps that has paid for compiling.

A compiled step makes fewer passes over memory and issues fewer operations; on a GPU it is replayed as a CUDA graph
(`reduce-overhead`). Every process compiles anew for each network and batch size. The step is that of `jvp`: the pass
through the anchor, the tangent, the derivative of the cross-entropy, the reverse pass, the move against it. Arms take
turns; a step's time is the processor's on a CPU, and waited for on a GPU.

Run: python tests/benchmarks/bench_compiled_step.py
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from torch.nn.functional import one_hot

from trials.core.networks.chain import Chain
from trials.core.networks.cnn import cnn_large, cnn_small
from trials.core.networks.mlp import mlp
from trials.core.networks.network import Network
from trials.core.optimisers.sgd import sgd_step
from trials.core.parameters import Parameters, difference, moved_to
from trials.core.streams import generator

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
        plain = _step(network, shape, batch)
        mode = "reduce-overhead" if DEVICE.type == "cuda" else "default"
        compiled = _step(network, shape, batch, lambda step, mode=mode: torch.compile(step, dynamic=False, mode=mode))
        start = time.perf_counter()
        moved = compiled()
        waited = time.perf_counter() - start
        apart = max(float((moved[key] - value).abs().max()) for key, value in plain().items())
        times = _times({"plain": plain, "compiled": compiled})
        saved = statistics.median(times["plain"]) - statistics.median(times["compiled"])
        ratios = [measure(times["compiled"]) / measure(times["plain"]) for measure in (min, statistics.median)]
        pays = f"paid for after {waited / saved:,.0f} steps" if saved > 0 else "never paid for"
        print(f"{name}: plain step {min(times['plain']) * 1e6:,.0f} us, compiled {ratios[0]:.2f} (min)", end=" ")
        print(
            f"{ratios[1]:.2f} (median) of it; compiling takes {waited:.0f} s, {pays}; apart by {apart:.0e}", flush=True
        )


def _step(
    network: Network,
    shape: tuple[int, ...],
    batch: int,
    compile_: Callable[..., Callable[..., Parameters]] | None = None,
) -> Callable[[], Parameters]:
    chain = network.forward
    assert isinstance(chain, Chain)
    anchor = moved_to(network.initial(generator(0, "initialisation")), DEVICE, torch.float32)
    point = {name: value * 1.01 for name, value in anchor.items()}
    inputs = torch.randn(batch, *shape, generator=generator(0, "inputs")).to(DEVICE)
    labels = torch.randint(10, (batch,), generator=generator(0, "labels")).to(DEVICE)

    def step(point: Parameters, anchor: Parameters, inputs: torch.Tensor, labels: torch.Tensor) -> Parameters:
        with torch.no_grad():
            opened = chain.opened(anchor, inputs)
            outputs = opened.outputs + chain.tangent(anchor, opened.kept, difference(point, anchor))
            residuals = (outputs.softmax(1) - one_hot(labels, outputs.shape[1])) / len(labels)
            return sgd_step(point, chain.pulled_back(anchor, opened.kept, residuals), 0.1)

    called = compile_(step) if compile_ else step
    return lambda: called(point, anchor, inputs, labels)


def _times(arms: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the seconds a step of every arm in every repeat."""
    for arm in arms.values():
        _seconds(arm, 3)
    calls = max(1, int(SECONDS_PER_REPEAT / _seconds(arms["plain"], 3)))
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(REPEATS):
        for name, arm in arms.items():
            times[name].append(_seconds(arm, calls))
    return times


def _seconds(step: Callable[[], object], calls: int) -> float:
    clock = time.perf_counter if DEVICE.type == "cuda" else time.process_time
    start = clock()
    for _ in range(calls):
        step()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return (clock() - start) / calls


if __name__ == "__main__":
    main()
