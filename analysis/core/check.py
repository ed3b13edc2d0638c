"""Check: read everything a study has stored and name what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.core.snapshot import StudyReader


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: What kind of thing, in a word or two.
        where: The file or trial.
        message: One sentence: what is wrong and what to do.
    """

    kind: str
    where: str
    message: str


def findings(reader: StudyReader) -> list[Finding]:
    """Return what is wrong with a study."""
    return []
