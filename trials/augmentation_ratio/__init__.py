"""The augmentation ratio: rows of a training set that are copies of few images, or transforms of them."""
