"""What every figure shares: the results store's format, in both directions, and the drawing."""
