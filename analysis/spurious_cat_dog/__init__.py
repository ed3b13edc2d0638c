"""What the study of spurious features on cats and dogs alone draws; `figures.draw` draws all of it."""
