"""Raw data sets from files that the tests write, and from the real ones where a machine has them."""

from __future__ import annotations

import gzip
import io
import os
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from trials.core.data import cifar10
from trials.core.data.arrays import load_arrays
from trials.core.data.examples import examples_of
from trials.core.data.knobs import DataKnobs

CPU = torch.device("cpu")
REAL = os.environ.get("RAYSWEEP_TEST_DATA", "")
needs_real_data = pytest.mark.skipif(not REAL, reason="RAYSWEEP_TEST_DATA names no folder with cifar10/ and mnist/")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _png(image):
    stream = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(stream, "PNG")
    return stream.getvalue()


def _write_parquet(file, images, labels, column="img"):
    encoded = [{"bytes": _png(image), "path": "x.png"} for image in images]
    pyarrow.parquet.write_table(pyarrow.table({column: encoded, "label": pyarrow.array(labels, pyarrow.int64())}), file)


def _cifar_folder(folder, seed=0, column="img"):
    """Write two training files and a test file of four images each; return the images and labels of training."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
    labels = random.integers(0, 10, 12)
    folder.mkdir(exist_ok=True)
    names = ["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"]
    for index, name in enumerate(names):
        part = slice(4 * index, 4 * index + 4)
        _write_parquet(folder / f"{name}.parquet", images[part], labels[part], column)
    return images[:8], labels[:8]


def _idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def _mnist_folder(folder, suffix=""):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, 28, 28), dtype=np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    folder.mkdir()
    pack = gzip.compress if suffix else bytes
    for split, part in {"train": slice(0, 4), "t10k": slice(4, 6)}.items():
        (folder / f"{split}-images-idx3-ubyte{suffix}").write_bytes(pack(_idx(images[part])))
        (folder / f"{split}-labels-idx1-ubyte{suffix}").write_bytes(pack(_idx(labels[part])))
    return images, labels


def test_cifar10_is_read_from_parquet_in_the_order_of_its_files(tmp_path):
    images, labels = _cifar_folder(tmp_path / "cifar")
    arrays = load_arrays("cifar10", str(tmp_path / "cifar"))
    assert np.array_equal(arrays.train_inputs, images)
    assert np.array_equal(arrays.train_labels, labels)
    assert arrays.test_inputs.shape == (4, 3, 32, 32)
    assert arrays.train_inputs.dtype == np.uint8
    assert arrays.train_labels.dtype == np.int64
    assert all(array.flags.c_contiguous for array in vars(arrays).values())


def test_images_are_decoded_once(tmp_path, monkeypatch):
    _cifar_folder(tmp_path / "cifar")
    first = load_arrays("cifar10", str(tmp_path / "cifar"))
    assert len(list((tmp_path / "cache" / "raysweep").iterdir())) == 1
    monkeypatch.setattr(cifar10, "_pixels", None)
    assert load_arrays("cifar10", str(tmp_path / "cifar")).digest() == first.digest()


def test_changed_files_are_decoded_again(tmp_path):
    _cifar_folder(tmp_path / "cifar")
    first = load_arrays("cifar10", str(tmp_path / "cifar"))
    _cifar_folder(tmp_path / "cifar", seed=1)
    assert load_arrays("cifar10", str(tmp_path / "cifar")).digest() != first.digest()


def test_a_cache_file_that_was_cut_short_is_replaced(tmp_path):
    _cifar_folder(tmp_path / "cifar")
    first = load_arrays("cifar10", str(tmp_path / "cifar"))
    (stored,) = (tmp_path / "cache" / "raysweep").iterdir()
    for content in (stored.read_bytes()[:1000], b"", b"nonsense"):
        stored.write_bytes(content)
        assert load_arrays("cifar10", str(tmp_path / "cifar")).digest() == first.digest()
    assert stored.stat().st_size > 1000


def test_an_unwritable_cache_costs_time_only(tmp_path, monkeypatch):
    _cifar_folder(tmp_path / "cifar")
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_arrays("cifar10", str(tmp_path / "cifar")).train_labels) == 8


def test_cifar10_is_read_by_url(tmp_path):
    images, _ = _cifar_folder(tmp_path / "cifar")
    arrays = load_arrays("cifar10", f"file://{tmp_path}/cifar/")
    assert np.array_equal(arrays.train_inputs, images)


class _TorchvisionsCifar10:
    """Stands for torchvision's class, which checks the sums of files that only a download has."""

    calls: ClassVar[list[tuple[Path, bool]]] = []

    def __init__(self, root, train, download):
        self.calls.append((Path(root), download))
        images = np.arange(2 * 32 * 32 * 3, dtype=np.uint32).reshape(2, 32, 32, 3).astype(np.uint8)
        self.data, self.targets = (images, [3, 4]) if train else (images[:1], [5])


@pytest.mark.parametrize("given", ["", "cifar-10-batches-py"])
def test_cifar10_is_read_from_torchvisions_folder(tmp_path, monkeypatch, given):
    (tmp_path / "cifar-10-batches-py").mkdir()
    monkeypatch.setattr("torchvision.datasets.CIFAR10", _TorchvisionsCifar10)
    arrays = load_arrays("cifar10", str(tmp_path / given))
    assert _TorchvisionsCifar10.calls[-1] == (tmp_path, False)
    assert arrays.train_inputs.shape == (2, 3, 32, 32)
    assert arrays.train_inputs[0, :, 0, 0].tolist() == [0, 1, 2], "channels come first"
    assert arrays.test_labels.tolist() == [5]


def test_cifar10_without_a_path_is_downloaded_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.CIFAR10", _TorchvisionsCifar10)
    load_arrays("cifar10")
    assert _TorchvisionsCifar10.calls[-1] == (tmp_path / "cache" / "raysweep", True)


@pytest.mark.parametrize(("name", "cls"), [("cifar10", "CIFAR10"), ("mnist", "MNIST")])
def test_a_download_that_fails_says_what_to_do(monkeypatch, name, cls):
    def unreachable(*_, **__):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr(f"torchvision.datasets.{cls}", unreachable)
    with pytest.raises(ValueError, match=rf"cannot download {name} \(no route to host\); give the path"):
        load_arrays(name)


def test_a_torchvision_folder_that_is_damaged_is_named(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(ValueError, match="no CIFAR-10 of torchvision's at"):
        load_arrays("cifar10", str(tmp_path))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_is_read_from_idx_files(tmp_path, suffix):
    images, labels = _mnist_folder(tmp_path / "mnist", suffix)
    arrays = load_arrays("mnist", str(tmp_path / "mnist"))
    assert np.array_equal(arrays.train_inputs[:, 0], images[:4])
    assert np.array_equal(arrays.test_labels, labels[4:])


def test_digits_have_a_fixed_split():
    arrays = load_arrays("digits")
    assert arrays.train_inputs.shape == (1000, 1, 8, 8)
    assert arrays.test_inputs.shape == (797, 1, 8, 8)
    assert arrays.train_inputs.max() == 16
    assert arrays.digest() == load_arrays("digits").digest() == "36409139c19a9c319807"


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("imagenet", None, "unknown data set 'imagenet'; it must be one of digits, cifar10, mnist"),
        ("cifar10", "/no/such/folder", "no CIFAR-10 at '/no/such/folder'.* has no train-"),
        ("cifar10", "nosuchscheme://x", "cannot read 'nosuchscheme://x'"),
        ("mnist", "/no/such/folder", "no MNIST at '/no/such/folder'"),
        ("digits", "/no/such/folder", "takes no path"),
    ],
)
def test_bad_names_and_paths_are_one_line_errors(name, path, message):
    with pytest.raises(ValueError, match=message) as error:
        load_arrays(name, path)
    assert "\n" not in str(error.value)


def test_a_missing_split_is_named(tmp_path):
    _cifar_folder(tmp_path / "cifar")
    (tmp_path / "cifar" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(ValueError, match=r"has no test-\*\.parquet"):
        load_arrays("cifar10", str(tmp_path / "cifar"))


def test_wrong_columns_are_named(tmp_path):
    _cifar_folder(tmp_path / "cifar", column="image")
    with pytest.raises(ValueError, match=r"must be Parquet with columns img .* and label"):
        load_arrays("cifar10", str(tmp_path / "cifar"))


@pytest.mark.parametrize("label", [-1, 10, None])
def test_labels_that_are_no_classes_are_refused_from_parquet(tmp_path, label):
    images, _ = _cifar_folder(tmp_path / "cifar")
    _write_parquet(tmp_path / "cifar" / "test-00000-of-00001.parquet", images[:3], [0, label, 9])
    with pytest.raises(ValueError, match=r"labels of .*test.* must be .*, got (-1|10|nan) for sample 1$"):
        load_arrays("cifar10", str(tmp_path / "cifar"))


def test_labels_that_are_no_classes_are_refused_from_idx(tmp_path):
    _mnist_folder(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(_idx(np.array([9, 10], np.uint8)))
    with pytest.raises(ValueError, match="labels of the test split of mnist must be classes from 0 to 9, got 10"):
        load_arrays("mnist", str(tmp_path / "mnist"))


def test_a_shard_under_another_name_is_refused(tmp_path):
    folder = tmp_path / "cifar"
    _cifar_folder(folder)
    (folder / "train-00001-of-00002.parquet").unlink()
    (folder / "train-00000-of-00002.parquet").rename(folder / "train-clean.parquet")
    (folder / "train-same.parquet").write_bytes((folder / "train-clean.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"'train-same\.parquet' is a copy of 'train-clean\.parquet'"):
        load_arrays("cifar10", str(folder))


def test_images_of_several_sizes_are_refused(tmp_path):
    images, labels = _cifar_folder(tmp_path / "cifar")
    small = images[:4, :, :16, :24]
    _write_parquet(tmp_path / "cifar" / "test-00000-of-00001.parquet", small, labels[:4])
    with pytest.raises(ValueError, match=r"one shape, got \(3, 32, 32\) in training and \(3, 16, 24\) in test"):
        load_arrays("cifar10", str(tmp_path / "cifar"))
    _write_parquet(tmp_path / "cifar" / "train-00001-of-00002.parquet", small, labels[:4])
    with pytest.raises(ValueError, match=r"one size, got 24x16 \(first image 4\), 32x32 \(first image 0\)"):
        load_arrays("cifar10", str(tmp_path / "cifar"))


@pytest.mark.parametrize(
    "content",
    [
        b"\x1f\x8b",
        gzip.compress(_idx(np.arange(4, dtype=np.uint8)))[:-9],
        gzip.compress(b"")[:10] + b"\x07" + bytes(9),
        b"not gzip",
    ],
)
def test_a_damaged_gzip_is_named(tmp_path, content):
    _mnist_folder(tmp_path / "mnist", ".gz")
    (tmp_path / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte\.gz' is not an IDX file of unsigned bytes: "):
        load_arrays("mnist", str(tmp_path / "mnist"))


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", struct.pack(">HBBI", 0, 8, 1, 9) + b"short", b"\0\0\x0d\1\0\0\0\0"]
)
def test_a_file_that_is_not_idx_is_named(tmp_path, content):
    _mnist_folder(tmp_path / "mnist")
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte' is not an IDX file"):
        load_arrays("mnist", str(tmp_path / "mnist"))


def test_a_file_that_is_not_a_png_is_an_error(tmp_path):
    _cifar_folder(tmp_path / "cifar")
    broken = pyarrow.table({"img": [{"bytes": b"no png", "path": "x"}], "label": [1]})
    pyarrow.parquet.write_table(broken, tmp_path / "cifar" / "train-00000-of-00002.parquet")
    with pytest.raises(
        ValueError, match=r"cannot decode an image, row 0 of train-00000-of-00002\.parquet: it is none of any"
    ):
        load_arrays("cifar10", str(tmp_path / "cifar"))


def test_a_png_that_breaks_off_or_is_not_there_is_an_error(tmp_path):
    images, _ = _cifar_folder(tmp_path / "cifar")
    whole = _png(images[0])
    for broken in (whole[:-40], whole[:60] + bytes(20) + whole[80:], None):
        table = pyarrow.table({"img": [{"bytes": whole}, {"bytes": broken}], "label": [1, 2]})
        pyarrow.parquet.write_table(table, tmp_path / "cifar" / "train-00001-of-00002.parquet")
        with pytest.raises(ValueError, match=r"cannot decode an image, row 1 of train-00001-of-00002\.parquet: "):
            load_arrays("cifar10", str(tmp_path / "cifar"))


@needs_real_data
@pytest.mark.slow
def test_real_cifar10():
    arrays = load_arrays("cifar10", str(Path(REAL) / "cifar10"))
    assert arrays.train_inputs.shape == (50_000, 3, 32, 32)
    assert arrays.test_inputs.shape == (10_000, 3, 32, 32)
    assert np.bincount(arrays.train_labels).tolist() == [5000] * 10
    assert arrays.train_inputs[:, :, ::4, ::4].mean() / 255 == pytest.approx(0.47, abs=0.01)


@needs_real_data
def test_real_mnist():
    arrays = load_arrays("mnist", str(Path(REAL) / "mnist"))
    assert arrays.train_inputs.shape == (60_000, 1, 28, 28)
    assert arrays.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    train, _ = examples_of(arrays, DataKnobs(name="mnist"), CPU)
    assert abs(float(train.inputs.mean())) < 0.02
    assert float(train.inputs.std()) == pytest.approx(1, abs=0.02)
