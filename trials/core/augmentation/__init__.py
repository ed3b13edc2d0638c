"""Augmentation in the batch: rows that name a sample and what is done to it, and no copies of images."""
