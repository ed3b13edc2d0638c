"""The command of a study, under the name that it first had: programs that import it from here go on working.

It lies in `raysweep.service.commands.study_command`; programs of today write `raysweep.main`.
"""

from __future__ import annotations

from raysweep.service.commands.study_command import main

__all__ = ["main"]
