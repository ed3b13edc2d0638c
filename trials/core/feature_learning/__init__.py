"""Which feature does gradient descent learn first: patches of features and noise, closed forms of their growth."""
