"""Axes and planners: from what a space's YAML says to knobs. They know knobs, and no study."""

import sys
import warnings

if "ipykernel" in sys.modules:  # in a notebook a bar of Optuna's, which nothing here shows, asks for ipywidgets
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        import tqdm.auto  # noqa: F401
