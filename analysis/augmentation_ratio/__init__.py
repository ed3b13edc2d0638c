"""What the study of the augmentation ratio alone draws; `figures.draw` draws all of it."""
