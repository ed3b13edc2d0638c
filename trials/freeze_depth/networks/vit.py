"""Vision transformers as layer groups, with the parts and the arithmetic of CLIP's image encoder.

Source: Dosovitskiy et al., arXiv 2010.11929, section 3.1; Radford et al., arXiv 2103.00020, section 2.4 (a layer norm
before the blocks, a linear map to the joint space after the pooled token) and the released model (x sigmoid(1.702 x)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from trials.core.layer_groups.groups import LayerGroups
from trials.freeze_depth.networks.known import EMBED, VitShape

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

EMBEDDINGS = (f"{EMBED}.class_embedding", f"{EMBED}.positional_embedding")
"""Parameters beside the patches' convolution: the published freezing leaves them trainable at every depth."""
_EXPANSION = 4


def vit_groups(channels: int, classes: int, shape: VitShape) -> LayerGroups:
    """Return a vision transformer; features are not normalised before the head.

    The encoder of `CLIP_B16` has 86,192,640 parameters.
    """
    first, *blocks, tail, head = shape.parts
    parts: dict[str, nn.Module] = {first: _Embedding(channels, shape)}
    parts |= {name: _Block(shape.width, shape.heads) for name in blocks}
    return LayerGroups({**parts, tail: _Tail(shape), head: nn.Linear(shape.features, classes)})


class _Embedding(nn.Module):
    """Patches as tokens behind the class token, with their places, normalised."""

    def __init__(self, channels: int, shape: VitShape) -> None:
        super().__init__()
        scale = shape.width**-0.5
        self.conv1 = nn.Conv2d(channels, shape.width, shape.patch, stride=shape.patch, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(shape.width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(shape.tokens, shape.width))
        self.ln_pre = nn.LayerNorm(shape.width)

    def forward(self, images: Float[Tensor, "batch channels side side"]) -> Float[Tensor, "batch tokens width"]:
        patches = self.conv1(images).flatten(2).mT
        first = self.class_embedding.expand(len(images), 1, -1)
        return self.ln_pre(torch.cat([first, patches], 1) + self.positional_embedding)


class _Block(nn.Module):
    """Attention and a perceptron, each after a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = _Attention(width, heads)
        self.expand, self.contract = nn.Linear(width, _EXPANSION * width), nn.Linear(_EXPANSION * width, width)

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        tokens = tokens + self.attention(self.ln_1(tokens))
        inner = self.expand(self.ln_2(tokens))
        return tokens + self.contract(inner * torch.sigmoid(1.702 * inner))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.entering, self.leaving = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        split = self.entering(tokens).unflatten(2, (3, self._heads, -1))
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        return self.leaving(scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2))


class _Tail(nn.Module):
    """The class token, normalised and mapped to the features."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.ln_post = nn.LayerNorm(shape.width)
        self.proj = nn.Parameter(shape.width**-0.5 * torch.randn(shape.width, shape.features))

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch features"]:
        return self.ln_post(tokens[:, 0]) @ self.proj
