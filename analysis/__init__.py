"""Analysis: the stored results as tables, and the figures of each study. Needs neither Ray nor torch.

A study's figures belong here, in a file of its name or, where they need several, in a package whose `figures.draw` the
declaration names. `store` holds the results, `core` the drawing kit; a study imports these two and itself.
"""
