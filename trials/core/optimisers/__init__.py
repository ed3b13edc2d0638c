"""Optimisers as pure steps from parameters to parameters."""
