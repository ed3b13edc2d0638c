"""Names and shapes of weights before any trial: what a whole file says, at the price of its header."""

from __future__ import annotations

import hashlib
import io

import pytest
import torch
from safetensors.torch import save_file

from tests.trials.freeze_depth.fine_tuned import knobs_of
from trials.core.streams import drawn_from
from trials.freeze_depth.networks.backbones import Sizes, built
from trials.freeze_depth.networks.weights import OUTLINES, WEIGHTS, read_outline, read_state


@pytest.fixture
def state():
    with drawn_from(0, "test"):
        return dict(built("resnet", Sizes(classes=2, width=4)).groups.state_dict())


def _saved(state, folder, ending):
    file = folder / f"weights.{ending}"
    if ending == "pt":
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, file)
    else:
        save_file(state, file, metadata={"format": "pt"})
    return file


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_an_outline_is_what_the_file_holds_without_its_numbers(tmp_path, state, ending):
    file = _saved(state, tmp_path, ending)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    whole, outline = read_state(str(file)), read_outline(f"file://{file}", digest)
    assert {name: value.shape for name, value in outline.items()} == {name: of.shape for name, of in whole.items()}
    assert {value.device.type for value in outline.values()} == {"meta"}
    with pytest.raises(ValueError, match=rf"cannot read weights .*: its SHA-256 is {digest} and not 12"):
        read_outline(str(file), "12")


def test_of_safetensors_only_the_header_is_read(tmp_path, monkeypatch):
    file = tmp_path / "weights.safetensors"
    save_file({"large": torch.zeros(1_000_000), "small": torch.zeros(2, 3)}, file)
    read = []

    class Counted(io.FileIO):
        def read(self, size=-1):
            read.append(size)
            return super().read(size)

    monkeypatch.setattr("fsspec.open", lambda place, mode: Counted(place, mode))
    assert read_outline(str(file))["small"].shape == (2, 3)
    assert 0 < sum(read) < 1000 < file.stat().st_size
    assert min(read) > 0


def test_files_that_are_broken_are_refused_in_one_line(tmp_path, state):
    content = _saved(state, tmp_path, "safetensors").read_bytes()
    for name, broken, message in (
        ("cut", content[:-1], rf"it has {len(content) - 1} bytes, and by its header {len(content)}"),
        ("short", content[:5], "does not begin with the length of a header"),
        ("text", b"version https://git-lfs.github.com/spec/v1\n", "does not begin with the length of a header"),
    ):
        file = tmp_path / f"{name}.safetensors"
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=message) as error:
            read_outline(str(file))
        assert "\n" not in str(error.value)
    (tmp_path / "nonsense.pt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="cannot read weights from"):
        read_outline(str(tmp_path / "nonsense.pt"))


_LAYER = "vision_model.encoder.layers.0.self_attn"
_PROJECTIONS = {f"{_LAYER}.{name}_proj.weight": torch.ones(4, 4) for name in "qkv"}


@pytest.mark.parametrize(
    ("source", "theirs"),
    [
        ("file", {"embed.conv1.weight": torch.ones(4, 3)}),
        ("open_clip", {"visual.proj": torch.ones(4, 2), "text.proj": torch.ones(5, 2)}),
        ("transformers", {"visual_projection.weight": torch.ones(2, 4), **_PROJECTIONS}),
    ],
)
def test_every_source_outlines_what_it_would_load(tmp_path, source, theirs):
    assert OUTLINES.keys() == WEIGHTS.keys()
    file = tmp_path / "weights.safetensors"
    save_file(theirs, file)
    loaded, outline = (of[source](str(file), "") for of in (WEIGHTS, OUTLINES))
    assert {name: value.shape for name, value in outline.items()} == {name: of.shape for name, of in loaded.items()}
    assert {value.device.type for value in outline.values()} == {"meta"}


def test_names_of_weights_that_open_clip_does_not_have_are_refused_without_a_download():
    pytest.importorskip("open_clip")
    assert OUTLINES["open_clip"]("openai", "") is None
    with pytest.raises(ValueError, match=r"weights='opnai' is no file and no name that open_clip knows .*: openai, "):
        OUTLINES["open_clip"]("opnai", "")


def test_a_network_of_a_library_says_its_depths_before_any_trial():
    with pytest.raises(ValueError, match=r"freeze_depth=6 is not one of 0 = nothing, 1 = up to conv1, .* always train"):
        knobs_of(network="timm/resnet18", freeze_depth=6).refuse_unfit({})
    with pytest.raises(ValueError, match="embeddings of class and places, which timm/resnet18 does not have"):
        knobs_of(network="timm/resnet18", freeze_depth=2, freeze_scope="published").refuse_unfit({})
    with pytest.raises(ValueError, match=r"takes images of 224 pixels a side and data_name=digits has 16"):
        knobs_of(network="timm/vit_tiny_patch16_224").refuse_unfit({})


def test_a_librarys_own_names_fit(tmp_path):
    import timm

    file = tmp_path / "weights.pt"
    torch.save(timm.create_model("resnet18", num_classes=7).state_dict(), file)
    knobs_of(network="timm/resnet18", weights_source="file", weights=str(file)).refuse_unfit({})
