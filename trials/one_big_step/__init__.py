"""One big step: what a single gradient step on the first layer teaches a network."""
