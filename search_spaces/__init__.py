"""Where to look: one folder of Hydra YAML a study, and the planners they share."""
