"""raysweep: phase diagrams of deep learning, from one call or command to table and figure.

`raysweep.sweep(study, ...)` runs what is missing of a space and returns its tables and figures, `raysweep.plan(study,
...)` says what that would be, and `raysweep.open(root)` opens the results of finished trials. `Study` declares a study
and `main` is its command. Each is imported when it is first asked for: opening results needs neither Ray nor torch.

The declaration of each study belongs here: a short file of its name that binds recipe, figures and spaces, and is the
command `python -m raysweep.<study>`. What runs sweeps is in `service`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from raysweep.service.packages import take_own

take_own()  # before anything else of it is imported


if TYPE_CHECKING:
    from analysis.store.errors import StoreError
    from analysis.store.results import Results
    from analysis.store.results import open_results as open
    from raysweep.service.commands.calls import plan, sweep
    from raysweep.service.commands.study_command import main
    from raysweep.service.commands.sweep_objects import SweepPlan, SweepRun
    from raysweep.service.errors import UsageError
    from raysweep.service.study import Study

__all__ = ["Results", "StoreError", "Study", "SweepPlan", "SweepRun", "UsageError", "main", "open", "plan", "sweep"]

_PLACES = {
    "Results": "analysis.store.results:Results",
    "StoreError": "analysis.store.errors:StoreError",
    "Study": "raysweep.service.study:Study",
    "SweepPlan": "raysweep.service.commands.sweep_objects:SweepPlan",
    "SweepRun": "raysweep.service.commands.sweep_objects:SweepRun",
    "UsageError": "raysweep.service.errors:UsageError",
    "main": "raysweep.service.commands.study_command:main",
    "open": "analysis.store.results:open_results",
    "plan": "raysweep.service.commands.calls:plan",
    "sweep": "raysweep.service.commands.calls:sweep",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'raysweep' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
