"""How long the first answers take, in seconds of CPU, beside importing torch.

Run it as `python tests/benchmarks/bench_first_answers.py`.

CPU time, since wall time on a busy machine says little; each is the least of several runs.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile

RUNS = 3
STUDY = ("-m", "raysweep.k_phase_diagram")
PLAN = ("--dry-run", "seed=range(125)", "axes.feature_update_interval=[1,2,4,8,16,32,64,128]")
SMALL = ("space=smoke", "executor=serial")
ANSWERS = {
    "import torch": ("-c", "import torch"),
    "import raysweep": ("-c", "import raysweep"),
    "--help": (*STUDY, "--help"),
    "--help of one_big_step": ("-m", "raysweep.one_big_step", "--help"),
    "a refused override": (*STUDY, "widht=3"),
    "--dry-run of 1,000 trials": (*STUDY, *PLAN),
    "a smoke sweep run again": (*STUDY, *SMALL),
}


def cpu_seconds(arguments: tuple[str, ...], folder: str) -> float:
    """Return the user and system time of one Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line for each answer: its time, and that over the time of importing torch."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, *STUDY, *SMALL], cwd=folder, capture_output=True, check=True)
        times = {name: min(cpu_seconds(each, folder) for _ in range(RUNS)) for name, each in ANSWERS.items()}
    for name, seconds in times.items():
        print(f"{name:<28} {seconds:6.2f} s   {seconds / times['import torch']:5.2f} of importing torch")


if __name__ == "__main__":
    main()
