"""Recipes: one study's training algorithm a file, told as a generator of rows."""
