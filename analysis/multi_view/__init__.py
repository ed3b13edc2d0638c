"""What the study of the multi-view theory alone draws; `figures.draw` draws all of it."""
