"""Suggestions: what to say of a word that means nothing here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ALIKE = 0.6
"""Share of equal letters from which a word counts as a slip of another."""


def suggestion(word: object, allowed: Iterable[str]) -> str:
    """Return the one allowed word that was probably meant, as a question, or else what is allowed."""
    words = list(allowed)
    close = difflib.get_close_matches(str(word), words, n=1, cutoff=_ALIKE)
    return f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(words) or 'none'}"
