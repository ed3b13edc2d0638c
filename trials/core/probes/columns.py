"""The columns of movement: which parts of a network have one, by the end of its name."""

from __future__ import annotations

LAYERS = 8
"""Layers that have a column of their own, counted from the input."""
PARTS = ("", "_first", "_last", *(f"_layer_{layer}" for layer in range(1, LAYERS + 1)))
"""Ends of the columns' names: all parameters, the layer at the input, the one at the output, and each by its number."""
