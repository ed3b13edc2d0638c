"""Where to look: one folder of Hydra YAML a study, and the planners they share.

The spaces of a study belong here, in a folder of its name: a file a space, which begins with the question that it asks
and names axes and values. `core` turns them into knobs. Code belongs here only where every study may sweep by it.
"""
