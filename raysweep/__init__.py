"""raysweep: phase diagrams of deep learning, from one command to table and figure.

`raysweep.open(root)` opens the results of finished trials; it needs neither Ray nor torch nor a cluster.
"""

from __future__ import annotations

from analysis.core.results import Results
from analysis.core.results import open_results as open

__all__ = ["Results", "open"]
