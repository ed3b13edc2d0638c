"""The commands of `raysweep` that read the store: what is there, how far it is, and copies of it."""
