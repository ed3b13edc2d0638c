"""Names of the parameters of CLIP's image encoder in the files of others -> those of `vit.vit_groups`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

Renamed = Mapping[str, "Tensor"]

_BLOCK_OF_OPEN_CLIP = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
_IN_BLOCK_OF_OPEN_CLIP: Mapping[str, str] = MappingProxyType(
    {
        "attn.in_proj_weight": "attention.entering.weight",
        "attn.in_proj_bias": "attention.entering.bias",
        "attn.out_proj.weight": "attention.leaving.weight",
        "attn.out_proj.bias": "attention.leaving.bias",
        "mlp.c_fc.weight": "expand.weight",
        "mlp.c_fc.bias": "expand.bias",
        "mlp.c_proj.weight": "contract.weight",
        "mlp.c_proj.bias": "contract.bias",
    }
)
_TAIL_OF_OPEN_CLIP = ("ln_post.", "proj")

_BLOCK_OF_TRANSFORMERS = re.compile(r"vision_model\.encoder\.layers\.(\d+)\.(.+)")
_ELSEWHERE_IN_TRANSFORMERS: Mapping[str, str] = MappingProxyType(
    {
        "vision_model.embeddings.class_embedding": "embed.class_embedding",
        "vision_model.embeddings.patch_embedding.weight": "embed.conv1.weight",
        "vision_model.embeddings.position_embedding.weight": "embed.positional_embedding",
        "vision_model.pre_layrnorm.weight": "embed.ln_pre.weight",  # spelt so
        "vision_model.pre_layrnorm.bias": "embed.ln_pre.bias",
        "vision_model.post_layernorm.weight": "tail.ln_post.weight",
        "vision_model.post_layernorm.bias": "tail.ln_post.bias",
    }
)
_IN_BLOCK_OF_TRANSFORMERS: Mapping[str, str] = MappingProxyType(
    {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "expand", "mlp.fc2": "contract"}
    | {"self_attn.out_proj": "attention.leaving"}
)
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def from_open_clip(state: Mapping[str, Tensor]) -> Renamed:
    """Return the image encoder of a whole CLIP of open_clip's, or of its `.visual` alone."""
    whole = any(name.startswith("visual.") for name in state)
    own = {
        name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.") or not whole
    }
    return {_named_by_open_clip(name): value for name, value in own.items()}


def from_transformers(state: Mapping[str, Tensor]) -> Renamed:
    """Return the image encoder of a `CLIPModel` or `CLIPVisionModelWithProjection` of transformers."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        block = _BLOCK_OF_TRANSFORMERS.fullmatch(name)
        if block:
            renamed |= _in_block_of_transformers(f"block {int(block[1]) + 1}", block[2], state, name)
        elif name == "visual_projection.weight":
            renamed["tail.proj"] = value.T
        elif name.startswith("vision_model.") and not name.endswith(".position_ids"):
            renamed[_ELSEWHERE_IN_TRANSFORMERS.get(name, name)] = value
    return renamed


KEY_MAPS: Mapping[str, Callable[[Mapping[str, Tensor]], Renamed]] = MappingProxyType(
    {"open_clip": from_open_clip, "transformers": from_transformers}
)


def _named_by_open_clip(name: str) -> str:
    block = _BLOCK_OF_OPEN_CLIP.fullmatch(name)
    if block:
        return f"block {int(block[1]) + 1}.{_IN_BLOCK_OF_OPEN_CLIP.get(block[2], block[2])}"
    return f"{'tail' if name.startswith(_TAIL_OF_OPEN_CLIP) else 'embed'}.{name}"


def _in_block_of_transformers(block: str, inner: str, state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return one parameter of a block; queries, keys and values together, with the first of them."""
    module, _, kind = inner.rpartition(".")
    projection = module.removeprefix("self_attn.")
    if projection not in _PROJECTIONS:
        return {f"{block}.{_IN_BLOCK_OF_TRANSFORMERS.get(module, module)}.{kind}": state[name]}
    siblings = [name.replace(projection, each) for each in _PROJECTIONS]
    if projection != _PROJECTIONS[0] or any(sibling not in state for sibling in siblings):
        return {}
    return {f"{block}.attention.entering.{kind}": torch.cat([state[sibling] for sibling in siblings])}
