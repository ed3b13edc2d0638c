"""Clusters to sweep on: launcher files, manifests, node types, and the notices by which a spot machine says it goes."""
