"""Clusters to sweep on: launcher files, manifests, node types, and the notices by which a spot machine says it goes.

What a machine needs before Ray runs on it belongs here, and what is known of machines: prices, cards, metrics. It knows
no other drawer, so that a node can run its scripts with nothing else installed.
"""
