"""Multi-view theory: a model of patches, trained on the projections of a patchwise network."""
