"""The study of damping: knobs, measurements, recipe, and the Gauss-Newton step with its solvers."""
