"""Data of a user's own: read from wherever they lie, described by one record, refused in a line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from trials.core.data.arrays import Arrays, OwnArrays, load_arrays
from trials.core.data.own import own_content
from trials.core.data.records import OWN, DataSet

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (30, 6, 4, 3), dtype=np.uint8)
VECTORS = RANDOM.normal(size=(30, 5))
LABELS = np.arange(30) % 3


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def own(place: str) -> OwnArrays:
    arrays = load_arrays(OWN, place)
    assert isinstance(arrays, OwnArrays)
    return arrays


def images(root: Path, names: list[str], sizes: tuple[tuple[int, int], ...] = ((5, 5),), count: int = 4) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(count):
            height, width = sizes[number % len(sizes)]
            pixels = RANDOM.integers(0, 256, (height, width), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def samples(arrays: Arrays) -> list[tuple[bytes, int]]:
    """Return every sample with its label, in an order of their own."""
    parts = ((arrays.train_inputs, arrays.train_labels), (arrays.test_inputs, arrays.test_labels))
    return sorted(
        (each.tobytes(), int(label)) for inputs, labels in parts for each, label in zip(inputs, labels, strict=True)
    )


def test_an_npz_is_split_by_a_seed_and_measured(folder: Path) -> None:
    np.savez("mine.npz", X=PIXELS, y=np.array(["b", "c", "a"])[LABELS])
    arrays = own("mine.npz")
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (24, 6)
    expected = PIXELS.transpose(0, 3, 1, 2)
    assert samples(arrays) == sorted((each.tobytes(), (LABELS[row] + 1) % 3) for row, each in enumerate(expected))
    record = arrays.record
    assert (record.shape, record.classes, record.training, record.largest, record.chiral) == (
        (3, 6, 4),
        3,
        24,
        255,
        True,
    )
    scaled = arrays.train_inputs / 255
    assert record.by_channel is not None
    assert np.allclose(record.by_channel.means, scaled.mean((0, 2, 3)), atol=1e-4)
    assert np.allclose(record.by_channel.deviations, scaled.std((0, 2, 3)), atol=1e-4)
    assert np.allclose((record.mean, record.deviation), (scaled.mean(), scaled.std()), atol=1e-4)


def test_parts_that_are_given_stay_as_they_are(folder: Path) -> None:
    np.savez("mine.npz", x_train=VECTORS[:20], y_train=LABELS[:20], x_test=VECTORS[20:], y_test=LABELS[20:])
    arrays = own("mine.npz")
    assert np.array_equal(arrays.train_inputs, VECTORS[:20].astype(np.float32))
    assert arrays.test_labels.tolist() == LABELS[20:].tolist()
    assert (arrays.record.largest, arrays.record.mean, arrays.record.deviation) == (1, 0, 1)
    assert (arrays.record.by_channel, arrays.record.chiral) == (None, None)


def test_columns_of_parquet_files_are_features(folder: Path) -> None:
    table = pd.DataFrame(VECTORS, columns=list("abcde")).assign(species=np.array(["x", "y", "z"])[LABELS])
    Path("parts").mkdir()
    table[:20].to_parquet("parts/train-0.parquet")
    table[20:].to_parquet("parts/test-0.parquet")
    Path("parts/._train-0.parquet").write_bytes(b"somebody else's")
    Path("mine.yaml").write_text("{path: parts, labels: species, inputs: [c, a]}", encoding="utf-8")
    arrays = own("mine.yaml")
    assert np.array_equal(arrays.train_inputs, VECTORS[:20, [2, 0]].astype(np.float32))
    assert arrays.test_labels.tolist() == LABELS[20:].tolist()


def test_lists_and_encoded_images_are_columns_as_well(folder: Path) -> None:
    pd.DataFrame({"features": list(VECTORS), "label": LABELS}).to_parquet("lists.parquet")
    assert own("lists.parquet").train_inputs.shape == (24, 5)
    images(folder / "files", ["only"], count=10)
    encoded = [{"bytes": (folder / "files" / "only" / f"{number}.png").read_bytes()} for number in range(10)]
    pd.DataFrame({"image": encoded, "label": [0, 1] * 5}).to_parquet("images.parquet")
    assert own("images.parquet").train_inputs.shape == (8, 1, 5, 5)


def test_folders_are_classes(folder: Path) -> None:
    images(folder / "pets" / "train", ["dog", "cat"])
    images(folder / "pets" / "val", ["cat", "dog"], count=2)
    (folder / "pets" / "train" / ".cache").mkdir()
    (folder / "pets" / "notes.txt").write_text("not an image", encoding="utf-8")
    arrays = own("pets")
    assert arrays.train_inputs.shape == (8, 1, 5, 5)
    assert arrays.train_labels.tolist() == [0] * 4 + [1] * 4
    first = np.asarray(Image.open(folder / "pets" / "train" / "cat" / "0.png"))
    assert np.array_equal(arrays.train_inputs[0, 0], first)
    assert arrays.test_labels.tolist() == [0, 0, 1, 1]


def test_a_function_gives_arrays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "own_source.py").write_text(
        "import numpy\ndef made():\n    inputs = numpy.eye(20)\n    return inputs, inputs[:, 0] > 0\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(folder)
    arrays = own("own_source:made")
    assert arrays.train_inputs.shape == (16, 20)
    assert int(arrays.train_labels.sum() + arrays.test_labels.sum()) == 1


def test_a_record_says_what_it_wants(folder: Path) -> None:
    images(folder / "pets", ["cat", "dog"], ((9, 7), (6, 8)))
    said = "path: pets\nside: 4\nclasses: [dog, cat]\nmay_mirror: true\nmean: 0.5\ndeviation: 0.25\ntest_share: 0.5\n"
    Path("mine.yaml").write_text(said, encoding="utf-8")
    record = own("mine.yaml").record
    assert (record.shape, record.training, record.chiral) == ((1, 4, 4), 4, False)
    assert (record.mean, record.deviation, record.by_channel) == (0.5, 0.25, ((0.5,), (0.25,)))


def test_the_fingerprint_is_of_what_a_trial_sees(folder: Path) -> None:
    np.savez("one.npz", X=PIXELS, y=LABELS)
    os.link("one.npz", "other.npz")
    contents = [own_content(own("one.npz")), own_content(own("other.npz"))]
    for said in ("test_share: 0.5", "split_seed: 1", "largest: 100", "mean: 0.5"):
        Path("mine.yaml").write_text(f"path: one.npz\n{said}\n", encoding="utf-8")
        contents.append(own_content(own("mine.yaml")))
    Path("mine.yaml").write_text("path: one.npz\nmay_mirror: true\n", encoding="utf-8")
    contents.append(own_content(own("mine.yaml")))
    assert contents[0] == contents[1] == contents[-1]
    assert len(set(contents)) == 5


def _stored(**arrays: object) -> Callable[[], None]:
    return lambda: np.savez("mine.npz", **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("write", "place", "why"),
    [
        (_stored(X=VECTORS, y=LABELS[:9]), "mine.npz", "30 inputs and 9 labels"),
        (_stored(X=np.full((9, 2), np.nan), y=LABELS[:9]), "mine.npz", "not finite"),
        (_stored(X=VECTORS, y=LABELS + 0.5), "mine.npz", "no whole numbers or names"),
        (_stored(X=VECTORS, y=0 * LABELS), "mine.npz", "one class, 0"),
        (_stored(X=VECTORS[:, 0], y=LABELS), "mine.npz", r"inputs have shape \(24,\)"),
        (_stored(X=VECTORS.astype(str), y=LABELS), "mine.npz", "must be numbers"),
        (_stored(X=VECTORS[:2], y=LABELS[:2]), "mine.npz", "2 samples, of which 0 would be tests"),
        (_stored(A=VECTORS, B=LABELS), "mine.npz", "no inputs by a usual name .* it has A, B"),
        (_stored(X=VECTORS, y=np.array([{}] * 30)), "mine.npz", "arrays of Python objects"),
        (
            _stored(x_train=VECTORS, y_train=LABELS, x_test=VECTORS, y_test=LABELS + 1),
            "mine.npz",
            "the label 3, which is none of the classes of the training samples",
        ),
        (
            _stored(x_train=VECTORS, y_train=LABELS, x_test=VECTORS[:, :2], y_test=LABELS),
            "mine.npz",
            r"must have one shape, got \(5,\) in training and \(2,\) in test",
        ),
        (lambda: Path("mine.npz").write_bytes(b"PK\3\4 cut"), "mine.npz", "mine.npz cannot be read"),
        (lambda: Path("mine.parquet").write_bytes(b"no"), "mine.parquet", "mine.parquet cannot be read"),
        (lambda: None, "nowhere.npz", "No such file"),
        (lambda: None, "nowhere", "there is no such file; allowed are an .npz"),
        (lambda: None, "no_such_module:made", "cannot be called: No module named"),
        (lambda: None, "math:pi", "cannot be called"),
        (lambda: None, "os:getcwd", "returns str; it must return arrays"),
        (lambda: Path("empty").mkdir(), "empty", "has no images in folders by class"),
        (lambda: images(Path("pets"), ["a", "b"], ((5, 5), (6, 5))), "pets", "images of 5x5 and of 5x6"),
        (lambda: Path("mine.yaml").write_text("labels: y"), "mine.yaml", "must be a record with a path"),
        (lambda: Path("mine.yaml").write_text("path: x\npaht: y"), "mine.yaml", "paht is unknown; allowed are path"),
        (lambda: Path("mine.yaml").write_text("path: x\nside: big"), "mine.yaml", "side must be pixels"),
        (lambda: Path("mine.yaml").write_text("path: ["), "mine.yaml", "cannot be read"),
    ],
)
def test_what_is_no_data_is_refused_in_a_line(folder: Path, write: Callable[[], object], place: str, why: str) -> None:
    write()
    with pytest.raises(ValueError, match=why) as refused:
        load_arrays(OWN, place)
    assert "\n" not in str(refused.value)


def test_before_they_are_read_nothing_speaks_against_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from trials.core.data import records

    monkeypatch.setattr(records, "_brought", {})
    record = records.data_set(OWN)
    assert isinstance(record, DataSet)
    assert (record.has_images, record.chiral, record.training) == (True, False, None)
