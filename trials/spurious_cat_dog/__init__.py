"""Spurious features: patches that are added to images and tell their labels, or nothing but themselves."""
