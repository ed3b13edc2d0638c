"""What a training on rows of which few are distinct measures: at the end of epochs, and at its own end."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.rows import Measurement

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "epoch": Measurement(meaning="passes over as many rows as there are images", unit="epochs", type=int),
        "lr": Measurement(meaning="learning rate of the last step"),
        "train_loss": Measurement(meaning="mean loss of the epoch's batches, each before its step", unit="nats"),
        "train_acc": Measurement(meaning="accuracy on the epoch's batches, each before its step"),
        "test_loss": Measurement(meaning="mean cross-entropy on the test images", unit="nats"),
        "test_acc": Measurement(meaning="accuracy on the test images"),
        "test_acc_best": Measurement(meaning="largest test accuracy of a row so far"),
        "steps": Measurement(meaning="steps of the whole training", unit="steps", type=int),
        "train_acc_distinct": Measurement(meaning="accuracy on the distinct training images as they are; at the end"),
        "num_distinct": Measurement(meaning="distinct training images", unit="images", type=int),
        "num_rows": Measurement(meaning="rows of the training set", unit="rows", type=int),
        "num_aug_per_image_min": Measurement(meaning="fewest rows of an image beside its first", type=int),
        "num_aug_per_image_max": Measurement(meaning="most rows of an image beside its first", type=int),
        "invariance_rate_train": Measurement(meaning="share of training images that are answered as a transform"),
        "invariance_rate_train_untransformed": Measurement(
            meaning="the same of images that have one row, which is not transformed; null where there are none"
        ),
        "invariance_rate_test": Measurement(meaning="share of test images that are answered as a transform of them"),
        "padding_pixel": Measurement(
            meaning="value beyond a border before images are normalised: 0 is black; null where it is grey", type=int
        ),
        "params": Measurement(meaning="parameters of the network", type=int),
    }
)
