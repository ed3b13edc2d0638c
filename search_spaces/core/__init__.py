"""Axes and planners: from what a space's YAML says to knobs. They know knobs, and no study."""
