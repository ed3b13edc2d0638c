"""Vision transformers of libraries, and networks whose heads are fed by functions: parts that are the whole network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.trials.freeze_depth.small_transformers import NAMES, small_transformers
from trials.core.layer_groups.groups import freeze
from trials.core.streams import drawn_from
from trials.freeze_depth.networks.backbones import Sizes, built

TWO = Sizes(classes=2)
IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def _built(name, sizes=TWO):
    with drawn_from(0, "test"):
        return built(name, sizes)


@pytest.mark.parametrize("library", list(NAMES))
@torch.no_grad()
def test_the_parts_of_a_librarys_transformer_are_the_transformer(monkeypatch, library):
    made = small_transformers(monkeypatch)
    backbone = _built(NAMES[library])
    groups, (theirs,) = backbone.groups.eval(), made
    assert (groups.names, backbone.side) == (("embed", "block 1", "block 2", "block 3", "tail", "head"), 32)
    trunk = {name for name in groups.state_dict() if not name.startswith("head.")}
    assert {backbone.names[name] for name in theirs.state_dict()} >= trunk, "files in the library's names fit"
    setattr(theirs, "head" if library == "timm" else "heads", nn.Identity())
    for value in groups.parameters():  # places and class begin at zero or near it, and would not tell
        value.normal_(std=0.2, generator=torch.Generator().manual_seed(value.numel()))
    features = groups.forward_range(IMAGES, 0, len(groups) - 1)
    assert float((features - theirs.eval()(IMAGES)).abs().max()) < 1e-5 * float(features.abs().max())
    for depth in range(len(groups) + 1):
        assert torch.equal(groups.forward_range(groups.forward_range(IMAGES, 0, depth), depth), groups(IMAGES))


@pytest.fixture(scope="module")
def vit_b_16():
    pytest.importorskip("torchvision")
    return _built("torchvision/vit_b_16")


@pytest.mark.parametrize(
    ("depth", "published", "strict"),
    [
        (0, 85_800_194, 85_800_194),
        (1, 85_209_602, 85_057_538),
        (4, 63_945_986, 63_793_922),
        (7, 42_682_370, 42_530_306),
        (10, 21_418_754, 21_266_690),
        (13, 155_138, 3_074),
    ],
)
def test_torchvisions_vit_b_16_trains_as_many_parameters_as_its_blocks_say(vit_b_16, depth, published, strict):
    """A block has 7,087,872, the patches' convolution 590,592, class token and places 152,064."""
    assert vit_b_16.embeddings == ("embed.class_token", "embed.pos_embedding")
    assert freeze(vit_b_16.groups, depth, spared=vit_b_16.embeddings).num_trainable == published
    assert freeze(vit_b_16.groups, depth).num_trainable == strict


def test_torchvisions_vit_b_16_has_the_parameters_that_torchvision_tells_with_another_head(vit_b_16):
    """A class of the head has 769."""
    told = pytest.importorskip("torchvision").models.ViT_B_16_Weights.IMAGENET1K_V1.meta["num_params"]
    assert freeze(vit_b_16.groups, 0).num_trainable == told - (1000 - 2) * 769


def test_a_depth_that_torchvisions_vit_b_16_lacks_is_refused_with_its_parts(vit_b_16):
    with pytest.raises(ValueError, match=r"freeze_depth=15 .* 1 = up to embed, 2 = up to block 1, .* 14 = up to tail"):
        freeze(vit_b_16.groups, 15)


@pytest.mark.parametrize(
    ("name", "embeddings"),
    [
        ("torchvision/mobilenet_v2", ()),  # pools by a function
        ("torchvision/densenet121", ()),  # rectifies and pools by functions
        ("timm/vit_tiny_patch16_224", ("embed.cls_token", "embed.pos_embed")),
        ("timm/vit_base_patch16_gap_224", ("embed.pos_embed",)),  # has no class token and takes the mean
    ],
)
def test_networks_with_other_readouts_have_parts(monkeypatch, name, embeddings):
    """That the parts are the network is computed when they are made."""
    if name.startswith("timm/vit"):
        small_transformers(monkeypatch)
    assert _built(name).embeddings == embeddings


class _Small(nn.Module):
    """A chain whose head begins at zero."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 4, 224), nn.Linear(4, 5)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images):
        return self.head(self.first(images).flatten(1))


class _Negated(_Small):
    """No chain of its modules, which the head's zeros hide."""

    def forward(self, images):
        return self.head(-self.first(images).flatten(1))


class _Convolved(_Small):
    """A chain whose head is a convolution."""

    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Flatten())

    def forward(self, images):
        return self.head(self.first(images))


@pytest.mark.parametrize(
    ("network", "message"), [(_Negated, "is no chain"), (_Convolved, "head of network 'x' has no linear map")]
)
def test_what_cannot_be_taken_apart_is_refused(monkeypatch, network, message):
    models = pytest.importorskip("torchvision").models
    monkeypatch.setattr(models, "get_model", lambda name, weights: network())
    with pytest.raises(ValueError, match=message):
        _built("torchvision/x")


def test_comparing_the_parts_leaves_parameters_of_zero_at_zero(monkeypatch):
    models, network = pytest.importorskip("torchvision").models, _Small()
    monkeypatch.setattr(models, "get_model", lambda name, weights: network)
    assert _built("torchvision/x").groups.names == ("first", "head")
    assert not network.head.weight.any()
    assert not network.head.bias.any()
