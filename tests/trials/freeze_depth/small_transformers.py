"""Vision transformers of libraries at a size for tests: patches of 8 pixels on images of 32, and 3 blocks."""

from __future__ import annotations

from functools import partial

import pytest

NAMES = {"timm": "timm/vit_tiny_patch16_224", "torchvision": "torchvision/vit_b_16"}
_TIMM = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}
_TORCHVISION = {"image_size": 32, "patch_size": 8, "hidden_dim": 24, "mlp_dim": 48, "num_layers": 3, "num_heads": 3}


def small_transformers(monkeypatch):
    """Let both libraries make small ones, and return the list of what they will have made."""
    timm, models = pytest.importorskip("timm"), pytest.importorskip("torchvision").models
    made = []

    def listing(make):
        return lambda name, **settings: made.append(make(name, **settings)) or made[-1]

    overlay = {"pretrained_cfg_overlay": {"input_size": (3, 32, 32)}}
    monkeypatch.setattr(timm, "create_model", listing(partial(timm.create_model, **_TIMM, **overlay)))
    monkeypatch.setattr(models, "get_model", listing(lambda name, weights: models.VisionTransformer(**_TORCHVISION)))
    return made
