"""Data sets as raw arrays on the host and as prepared examples on a trial's device."""
