"""The training core: few independent parts of which every training is a composition, and the course that it takes."""
