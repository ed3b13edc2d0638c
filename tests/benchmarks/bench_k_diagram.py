"""A whole K diagram (the space `parity`: 7 intervals x seeds) by one command, beside the same trials plainly for Tune.

The plain arm is what one writes in an afternoon: a function trainable for `tune.Tuner` over a grid, each step a
`torch.func.jvp` for the outputs and a `torch.func.vjp` for the gradient, one accuracy reported at each measured step.
Both arms are told twice, with rows at the same steps: log-spaced ones, and as the space comes, at the ends of up to 300
rounds as well. Ours measures over thirty columns a row, of them the tangent kernel's, and draws the figures.
All arms are whole processes, their setup included, and take turns. Two times are told: the wall clock's, for which
nothing else should run, and that of the processors in all processes of an arm. Ours takes long to start, whatever the
number of trials, and the plain one starts an actor a trial: the ratio grows with the seeds.

Run: python tests/benchmarks/bench_k_diagram.py [repeats] [seeds] [rows], 7 trials a seed; rows: shipped or spaced.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.processor_time import Spent, spent_by

ROOT = Path(__file__).parents[2]
DEFAULTS = ("2", "12", "")
ROWS = {"rows as shipped": ((), 300), "log-spaced rows": (("measured_rounds=0",), 0)}
"""What is told -> overrides of our arm, rounds of at least two steps at whose ends the plain one has a row."""
Arm = tuple[str, str]

PLAIN = """
import os
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
import ray
from ray import tune


def trial(config):
    import torch
    from torch import nn
    from torch.func import functional_call, jvp, vjp

    torch.set_num_threads(1)
    data = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (4800, 40), generator=data).float() * 2 - 1
    y = (x[:, 0] * x[:, 1] > 0).long()
    train_x, train_y, test_x, test_y = x[:800], y[:800], x[800:], y[800:]
    torch.manual_seed(config["seed"])
    network = nn.Sequential(nn.Linear(40, 128), nn.ReLU(), nn.Linear(128, 2))
    theta = {name: value.detach().clone() for name, value in network.named_parameters()}
    logged = {round(10 ** (index / 6)) for index in range(21)} | {3000}
    if config["K"] > 1:
        logged |= {config["K"] * number for number in range(1, ROUNDS + 1)}
    for step in range(1, 3001):
        if (step - 1) % config["K"] == 0:
            anchor = dict(theta)

        def linearised(inputs):
            moved = {name: theta[name] - anchor[name] for name in theta}
            outputs, tangent = jvp(lambda p: functional_call(network, p, (inputs,)), (anchor,), (moved,))
            return outputs + tangent

        batch = torch.randperm(800)[:32]
        outputs = linearised(train_x[batch]).detach().requires_grad_()
        (residual,) = torch.autograd.grad(nn.functional.cross_entropy(outputs, train_y[batch]), outputs)
        _, pull = vjp(lambda p: functional_call(network, p, (train_x[batch],)), anchor)
        (gradient,) = pull(residual)
        theta = {name: value - 0.05 * gradient[name] for name, value in theta.items()}
        if step in logged:
            accuracy = (linearised(test_x).argmax(1) == test_y).float().mean().item()
            tune.report({"step": step, "test_acc_lin": accuracy})


if __name__ == "__main__":
    ray.init(address="local", num_cpus=CPUS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    grid = {"K": tune.grid_search([1, 10, 30, 100, 300, 1000, 3000]), "seed": tune.grid_search(list(range(SEEDS)))}
    results = tune.Tuner(trial, param_space=grid, run_config=tune.RunConfig(verbose=0)).fit()
    assert len(results) == 7 * SEEDS and not results.errors
"""


def main() -> None:
    """Print what the arms took and the ratios, by either clock."""
    given = (*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :])
    repeats, seeds, told = int(given[0]), int(given[1]), [rows for rows in ROWS if given[2] in rows]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    print(f"{7 * seeds} trials, {os.cpu_count()} cores, {repeats} interleaved repeats")
    with tempfile.TemporaryDirectory() as folder:
        commands = {arm: command for rows in told for arm, command in _arms(rows, seeds, Path(folder)).items()}
        spent: dict[Arm, list[Spent]] = {arm: [] for arm in commands}
        for repeat in range(repeats):
            for arm, command in commands.items():
                spent[arm].append(spent_by([*command, *_store(arm, folder, repeat)], ROOT, environment))
                taken = spent[arm][-1]
                print(f"    {', '.join(arm):26} {taken.wall:7.1f} s, {taken.processor:7.1f} s CPU", flush=True)
    for clock in ("wall", "processor"):
        taken_by = {arm: [getattr(each, clock) for each in of] for arm, of in spent.items()}
        for rows in told:
            plain, ours = (taken_by[arm, rows] for arm in ("plain", "raysweep"))
            ratios = [measure(plain) / measure(ours) for measure in (min, statistics.median)]
            print(f"{clock:9} time, {rows}: plain / raysweep {ratios[0]:.1f} (min) {ratios[1]:.1f} (median)")


def _arms(rows: str, seeds: int, folder: Path) -> dict[Arm, list[str]]:
    """Return the commands of both arms; the script of the plain one is left in the folder."""
    overrides, rounds = ROWS[rows]
    script = folder / f"plain_{rounds}.py"
    values = {"CPUS": os.cpu_count() or 1, "SEEDS": seeds, "ROUNDS": rounds}
    text = PLAIN
    for name, value in values.items():
        text = text.replace(name, str(value))
    script.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "raysweep.k_phase_diagram", "space=parity", *overrides, f"seed=range({seeds})"]
    return {("raysweep", rows): command, ("plain", rows): [sys.executable, str(script)]}


def _store(arm: Arm, folder: str, repeat: int) -> list[str]:
    """Return where our arm stores its rows, each time in a new place."""
    return [f"results={folder}/{arm[1].replace(' ', '-')}-{repeat}"] if arm[0] == "raysweep" else []


if __name__ == "__main__":
    main()
