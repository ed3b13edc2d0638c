"""Probes: pure measurements of a function, a data set or a point in parameter space."""
