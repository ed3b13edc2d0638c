"""Waterbirds and its stand-ins: what a trial sees of them, and how networks are pretrained on their other classes."""
