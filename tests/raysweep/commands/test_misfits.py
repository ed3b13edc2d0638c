"""Files that do not suit the trials end a sweep before anything has run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from raysweep.augmentation_ratio import STUDY as RATIO
from raysweep.freeze_depth import STUDY
from raysweep.gauss_newton_damping import STUDY as DAMPING
from raysweep.service.commands.study_command import main
from raysweep.service.study import Study
from raysweep.spurious_cat_dog import STUDY as CAT_DOG
from trials.freeze_depth.networks.backbones import Sizes, built

UNSUITED = ["space=smoke", "pretrain.task=none", "executor=serial"]


def test_weights_that_do_not_fit_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = dict(built("resnet", Sizes(classes=2, width=4)).groups.state_dict())
    state["conv.gate"] = state.pop("conv.convolution.weight")
    state["block 1.shortcut"] = torch.zeros(2)
    file, store = tmp_path / "weights.safetensors", tmp_path / "results"
    save_file(state, file)
    assert main(STUDY, [*UNSUITED, "weights_source=file", f"weights={file}", f"results={store}"]) == 2
    message = capsys.readouterr().err
    assert f"error: the weights from file {file} do not fit the network: missing: conv.convolution.weight;" in message
    assert "unknown: block 1.shortcut, conv.gate" in message
    assert len(message.splitlines()) == 1
    assert not list(store.rglob("*.parquet"))


def test_a_depth_that_a_librarys_network_lacks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = ["network=timm/resnet18", "axes.freeze_depth=[0,9]", f"results={tmp_path}"]
    assert main(STUDY, [*UNSUITED, *network]) == 2
    listed = "1 = up to conv1, 2 = up to layer1"
    assert f"error: freeze_depth=9 is not one of 0 = nothing, {listed}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["solver=parameter", "width=4000"], "solver=parameter would take"),
        (["solver=sample", "data.train_size=0", "network=cnn_l"], "solver=sample would take"),
        (["network=cnn_l", "solver=cg", "probe_size=1000"], "probe_size=1000 would take"),
        (["network=resnet18_bn"], "with batch normalisation the Jacobian of a sample depends on its batch"),
    ],
)
def test_a_damped_step_that_takes_too_much_memory_is_refused(
    overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(DAMPING, ["space=smoke", "executor=serial", f"results={tmp_path}", *overrides]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("study", "overrides", "message"),
    [
        (CAT_DOG, ["feature_update_interval=8"], "needs keep_statistics=true: by batches, a sample's linearisation"),
        (STUDY, ["feature_update_interval=8"], "needs keep_statistics=true: by batches, a sample's linearisation"),
        (STUDY, ["network=timm/resnet18", "feature_update_interval=8"], "needs keep_statistics=true: by batches"),
        (RATIO, ["network=cnn3", "feature_update_interval=8"], "needs keep_statistics=true: by batches"),
        (RATIO, ["precision=bfloat16", "feature_update_interval=8"], "needs precision=float32: bfloat16 would round"),
        (RATIO, ["freeze_depth=2"], "freeze_depth=2 is not one of 0 = nothing, 1 = up to hidden; head always trains"),
        (
            CAT_DOG,
            ["rows.ratio=0.5", "rows.augmentation=fixed_aug", "rows.transform=flip"],
            "makes other signs of digit_pair",
        ),
        (STUDY, ["rows.ratio=0.5", "augmentation=flip+resized_crop"], "needs training images that stay as they are"),
    ],
)
def test_axes_that_do_not_cross_are_refused_in_one_line(
    study: Study, overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["space=smoke", f"results={tmp_path}", *(["pretrain.task=none"] if study is STUDY else [])]
    assert main(study, [*small, *overrides]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.rglob("*.parquet"))
