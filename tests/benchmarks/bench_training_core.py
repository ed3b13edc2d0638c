"""What one training core costs: whole trials of an earlier commit and of this tree in turns, and what each axis adds.

The earlier commit is checked out beside this tree, and a process of each trains the same trials, turn by turn. Knobs
that the earlier one does not have are only asked of this tree: they are held against the same trial without them.

Run: python tests/benchmarks/bench_training_core.py [revision] [what]

The revision is by default the last one before there was one core, when every kind of training had a loop of its own;
comparisons are those whose line contains `what`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "e417471"
REPEATS = 7

Trials = list[dict[str, Any]]
"""Columns of knobs that are not at their default, a mapping a trial."""

_STEPS = {"steps": 400, "probe_size": 0, "measurements_per_decade": 1, "learning_rate": 0.02}
_FIRST, _ONE_ROUND = {"feature_update_interval": 1}, {"feature_update_interval": 400}
_SMALL = {"network": "mlp", "width": 16, "depth": 1, "steps": 1500, "probe_size": 0}
_PARITY = {"data_name": "sparse_parity", "data_train_size": 800, "data_test_size": 400, "depth": 1, "steps": 400}
_GROUPS = {"epochs": 2, "batch_size": 16, "train_per_class": 64, "test_per_class": 32, "pretrain_epochs": 0}
_RESNET_20 = {**_GROUPS, "epochs": 1, "network_width": 16, "network_blocks": 3}
_FIXED = {**_GROUPS, "pretrain_epochs": 1, "epochs": 4, "freeze_depth": 1, "keep_statistics": True}


def _methods(network: Mapping[str, Any]) -> dict[str, Trials]:
    rounds = {name: {**_ONE_ROUND, "round_method": name} for name in ("jvp", "cached", "function_space")}
    return {name: [{**_STEPS, **network, **each}] for name, each in {"first": _FIRST, **rounds}.items()}


BESIDE_BEFORE: Mapping[tuple[str, str], tuple[float, Trials]] = {
    **{
        ("k_phase_diagram", f"whole trial, smallest perceptron, K = {interval}"): (
            1.03,
            [{**_SMALL, "feature_update_interval": interval}],
        )
        for interval in (1, 10, 1500)
    },
    **{("k_phase_diagram", f"steps, MLP, {name}"): (1.05, trials) for name, trials in _methods({}).items()},
    **{
        ("k_phase_diagram", f"steps, CNN-S, {name}"): (1.05, trials)
        for name, trials in _methods({"network": "cnn_s", "steps": 100, "data_train_size": 200}).items()
    },
    ("k_phase_diagram", "16 trials together"): (
        1.03,
        [
            {**_PARITY, "seed": seed, "feature_update_interval": 4**interval}
            for seed in range(4)
            for interval in range(4)
        ],
    ),
    ("spurious_cat_dog", "whole trial of modules, in place"): (1.03, [_GROUPS]),
    ("spurious_cat_dog", "whole trial of modules, ResNet-20"): (1.03, [_RESNET_20]),
}
"""(study, what) -> (the bar for the ratio of this tree to the commit before, trials)."""

BESIDE_PLAIN: Mapping[tuple[str, str], tuple[float, Trials, Trials]] = {
    ("k_phase_diagram", "damped over undamped steps, jvp"): (
        1.1,
        [{**_STEPS, **_ONE_ROUND, "round_method": "jvp", "damping": 0.1}],
        [{**_STEPS, **_ONE_ROUND, "round_method": "jvp"}],
    ),
    ("k_phase_diagram", "one of three layers frozen, over none"): (
        0.8,
        [{**_STEPS, **_ONE_ROUND, "round_method": "jvp", "width": 512, "freeze_depth": 1}],
        [{**_STEPS, **_ONE_ROUND, "round_method": "jvp", "width": 512}],
    ),
    ("useful_sam", "sharpness-aware over plain steps"): (
        2.2,
        [{"sam_rho": 0.1, "steps": 400, "measurements_per_decade": 1}],
        [{"steps": 400, "measurements_per_decade": 1}],
    ),
    ("spurious_cat_dog", "linearised every 20 steps over plain, residual network with fixed statistics"): (
        2.5,
        [{**_FIXED, "feature_update_interval": 20}],
        [_FIXED],
    ),
}
"""(study, what) -> (the bar for the ratio of the two, trials with it, trials without), both of this tree."""


def main() -> None:
    """Print a line for each comparison: the ratio of the least and of the median times, and the bar."""
    before, wanted = [*sys.argv[1:3], *(BEFORE, "")[len(sys.argv) - 1 :]]
    print(f"one thread, CPU time, {REPEATS} turns; ratios of the least and of the median times", flush=True)
    with ExitStack() as stack:
        here = stack.enter_context(_trainer(ROOT))
        there = stack.enter_context(_trainer(stack.enter_context(_checked_out(before))))
        for (study, what), (bar, trials) in BESIDE_BEFORE.items():
            if wanted in (line := f"{study}: {what}"):
                _tell(line, bar, [(here, study, trials), (there, study, trials)])
        for (study, what), (bar, trials, plain) in BESIDE_PLAIN.items():
            if wanted in (line := f"{study}: {what}"):
                _tell(line, bar, [(here, study, trials), (here, study, plain)])


def _tell(what: str, bar: float, arms: list[tuple[Any, str, Trials]]) -> None:
    times: list[list[float]] = [[], []]
    for turn in range(REPEATS + 1):
        for arm, taken in zip(arms, times, strict=True):
            seconds = _seconds(*arm)
            if turn:  # the first turn loads code and data
                taken.append(seconds)
    least = min(times[0]) / min(times[1])
    median = sorted(times[0])[REPEATS // 2] / sorted(times[1])[REPEATS // 2]
    print(f"{what:90s} {least:5.2f} {median:5.2f}   at most {bar:.2f}", flush=True)


@contextmanager
def _checked_out(revision: str) -> Iterator[Path]:
    """Yield a folder with the tree of a revision."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


@contextmanager
def _trainer(tree: Path) -> Iterator[Any]:
    """Yield a process that trains by the code of a tree."""
    command = [sys.executable, str(Path(__file__).resolve()), "--train", str(tree)]
    process = subprocess.Popen(command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield process
        process.stdin.close()


def _seconds(process: Any, study: str, trials: Trials) -> float:
    process.stdin.write(json.dumps({"study": study, "trials": trials}) + "\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def _train(tree: str) -> None:
    """Answer each line of the input, a study and trials, with the CPU seconds that these take."""
    sys.path[0] = tree
    import time
    from functools import cache
    from importlib import import_module

    import torch

    from trials.core.context import TrialContext
    from trials.core.data.arrays import load_arrays

    torch.set_num_threads(1)
    context = TrialContext(arrays=cache(load_arrays))
    for line in sys.stdin:
        asked = json.loads(line)
        study = import_module(f"raysweep.{asked['study']}").STUDY
        knobs = [study.knobs.from_columns(columns) for columns in asked["trials"]]
        begun = time.process_time()
        rows = study.trial(knobs[0], context) if len(knobs) == 1 else study.together.run(knobs, context)
        for _ in rows:
            pass
        print(time.process_time() - begun, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        _train(sys.argv[2])
    else:
        main()
