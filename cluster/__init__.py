"""Clusters to sweep on: launcher files, manifests, node types."""
