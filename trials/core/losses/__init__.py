"""Losses: means over samples of a function of the outputs and the labels."""
