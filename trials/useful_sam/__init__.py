"""Sharpness-aware minimisation on a patch model with an easy and a difficult feature."""
