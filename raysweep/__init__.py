"""raysweep: phase diagrams of deep learning, from one command to table and figure.

`raysweep.open(root)` opens the results of finished trials; it needs neither Ray nor torch nor a cluster.

The declaration of each study belongs here: a short file of its name that binds recipe, figures and spaces, and is the
command `python -m raysweep.<study>`. What runs sweeps is in `service`.
"""

from __future__ import annotations

from raysweep.service.packages import take_own

take_own()  # before anything else of it is imported

from analysis.store.results import Results  # noqa: E402
from analysis.store.results import open_results as open  # noqa: E402

__all__ = ["Results", "open"]
