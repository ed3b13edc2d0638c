"""What the study of the freeze depth alone draws; `figures.draw` draws all of it."""
