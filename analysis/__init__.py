"""Analysis: the stored results as tables, and one figure a study. Needs neither Ray nor torch."""
