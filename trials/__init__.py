"""Recipes: each study's training algorithm, told as a generator of rows. Needs torch and numpy alone.

A study's knobs, its measurements and its `run` belong here, in a file of its name or, where they need several, in a
package with `knobs.py`, `measurements.py` and `recipe.py`, to be read in this order. What two studies use is in
`core`; a study imports `core` and itself.
"""
