"""The worker: what a process does that runs trials, with its share of a device, its stages and its checkpoints."""
