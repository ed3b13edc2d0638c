"""Waterbirds and its stand-ins: what a trial sees of them, how networks are pretrained and fine-tuned on them."""
