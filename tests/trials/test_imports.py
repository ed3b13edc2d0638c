"""Trials run on machines that carry torch and numpy and nothing else of raysweep's dependencies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

BLOCKED = [
    *("raysweep", "search_spaces", "analysis", "ray", "hydra", "omegaconf", "pyarrow", "boto3", "botocore", "fsspec"),
    *("pandas", "polars", "duckdb", "optuna", "matplotlib", "sklearn", "scipy", "PIL", "torchvision", "jaxtyping"),
]

PROGRAM = f"""
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Blocker())
import numpy as np
import trials
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.recipe import run
images, labels = np.zeros((40, 1, 4, 4), np.uint8), np.arange(40) % 10
arrays = Arrays(train_inputs=images, train_labels=labels, test_inputs=images, test_labels=labels)
knobs = KPhaseKnobs.from_columns({{"steps": 3, "feature_update_interval": 2, "data_train_size": 0}})
print(len(list(run(knobs, TrialContext(arrays=lambda name: arrays)))))
"""


def test_a_trial_needs_torch_and_numpy_alone():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "4"
    assert done.stderr == ""
