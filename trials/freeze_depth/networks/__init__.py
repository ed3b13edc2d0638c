"""Pretrained networks as layer groups: small ones, those of libraries, and where their weights come from."""
