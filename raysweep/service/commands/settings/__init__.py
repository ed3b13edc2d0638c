"""Settings: from what is typed, called with and written in spaces to plain values, by Hydra."""
