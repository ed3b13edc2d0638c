"""Which feature does gradient descent learn first: patches with features and noise, and closed forms of their growth."""
