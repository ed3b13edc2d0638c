"""Freeze depth: fine-tuning of pretrained networks on birds and on backgrounds."""
