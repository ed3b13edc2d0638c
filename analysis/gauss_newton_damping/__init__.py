"""What the study of Gauss-Newton damping alone draws; `figures.draw` draws all of it."""
