"""Rounds: the steps on one linearisation, how they are computed, when they end, and what survives them."""
