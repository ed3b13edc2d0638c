"""Vision transformers of timm and torchvision as parts, which are no chain of modules.

Patches, class token and places make the first part, then come the blocks, the tail with the last norm and the head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trials.freeze_depth.networks.known import EMBED, HEAD, TAIL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from torch import Tensor


def timm_transformer(network: Any) -> dict[str, nn.Module]:
    """Return the parts of one of timm's `VisionTransformer`s."""
    return _parts(_TimmEmbedding(network), network.blocks, _TimmTail(network), network.head)


def torchvision_transformer(network: Any) -> dict[str, nn.Module]:
    """Return the parts of one of torchvision's `VisionTransformer`s."""
    encoder = network.encoder
    return _parts(_TorchvisionEmbedding(network), encoder.layers, _TorchvisionTail(encoder.ln), network.heads)


def _parts(embed: nn.Module, blocks: Iterable[nn.Module], tail: nn.Module, head: nn.Module) -> dict[str, nn.Module]:
    numbered = {f"block {number}": block for number, block in enumerate(blocks, start=1)}
    return {EMBED: embed, **numbered, TAIL: tail, HEAD: head}


class _TimmEmbedding(nn.Module):
    """What timm's vision transformers do before their blocks."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.patch_embed, self.norm_pre = network.patch_embed, network.norm_pre
        self.cls_token, self.pos_embed = network.cls_token, network.pos_embed

    def forward(self, images: Float[Tensor, "batch channels side side"]) -> Float[Tensor, "batch tokens width"]:
        tokens = self.patch_embed(images)
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), tokens], 1)
        return self.norm_pre(tokens + self.pos_embed)


class _TimmTail(nn.Module):
    """The class token, or the mean of the others, normalised."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.norm, self.fc_norm = network.norm, network.fc_norm
        self._first = network.num_prefix_tokens
        self._of_class = network.global_pool == "token"

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        tokens = self.norm(tokens)
        return self.fc_norm(tokens[:, 0] if self._of_class else tokens[:, self._first :].mean(1))


class _TorchvisionEmbedding(nn.Module):
    """What torchvision's vision transformers do before their blocks."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.conv_proj = network.conv_proj
        self.class_token, self.pos_embedding = network.class_token, network.encoder.pos_embedding

    def forward(self, images: Float[Tensor, "batch channels side side"]) -> Float[Tensor, "batch tokens width"]:
        patches = self.conv_proj(images).flatten(2).mT
        return torch.cat([self.class_token.expand(len(images), -1, -1), patches], 1) + self.pos_embedding


class _TorchvisionTail(nn.Module):
    """The class token, normalised."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.ln = norm

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        return self.ln(tokens[:, 0])
