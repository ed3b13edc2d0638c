"""Fingerprints: short names of values, the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def fingerprint(value: Any) -> str:
    """Return a 20-digit hexadecimal hash of a JSON-like value, floats in one canonical form.

    80 bits: among a billion trials the probability of a collision is below one in a million.
    """
    text = json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _canonical(value: Any) -> Any:
    """Return `value` with floats as their shortest round-trip decimal, so that 0.0 and -0.0 agree."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float):
        return f"float:{value + 0.0!r}"
    return value
