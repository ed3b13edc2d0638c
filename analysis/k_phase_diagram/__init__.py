"""What the study of the K phase diagram alone draws; `figures.draw` draws all of it."""
