"""Small folders in the formats of Waterbirds, CUB-200-2011 and Places365, written by the tests."""

from __future__ import annotations

import csv

import numpy as np
from PIL import Image

COLUMNS = ("img_id", "img_filename", "y", "split", "place", "place_filename")


def write_released(folder, per_group=2, change=lambda rows: rows, *, seed=0):
    """Write a folder as Waterbirds was released, images of 448 x 224 pixels whose outer quarters are red."""
    random = np.random.default_rng(seed)
    rows = []
    for split in (0, 1, 2):
        for group in range(4):
            for _ in range(per_group):
                name = f"{len(rows):03}.Some_Bird/image_{len(rows)}.png"
                entry = (len(rows) + 1, name, group // 2, split, group % 2, "/o/ocean/1.jpg")
                rows.append(dict(zip(COLUMNS, map(str, entry), strict=True)))
                # Birds are bright in the middle, places at the edge, so that both can be learned.
                image = random.integers(0, 60, (224, 448, 3)).astype(np.uint8)
                image[80:144, 192:256, 1] += np.uint8(150 * (group // 2))
                image[:40, 112:336, 2] += np.uint8(150 * (group % 2))
                image[:, :112] = image[:, 336:] = (255, 0, 0)
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(folder / name)
    rows = change(rows)
    with (folder / "metadata.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def write_parts(folder, *, landbird="047.American_Goldfinch", backgrounds=40):
    """Write 30 landbirds and 30 gulls, 20 of each for training, masks and backgrounds; return the three places."""
    random = np.random.default_rng(0)
    birds, masks, places = folder / "birds", folder / "masks", folder / "places"
    images, official = [], []
    for species in (landbird, "059.California_Gull"):
        for number in range(30):
            name = f"{species}/{number}.jpg"
            images.append(name)
            official.append(int(number < 20))
            _save(birds / "images" / name, random.integers(0, 256, (30, 40, 3)))
            _save(masks / species / f"{number}.png", 255 * random.integers(0, 2, (30, 40)))
    for file, entries in (("images.txt", images), ("train_test_split.txt", official)):
        (birds / file).write_text("".join(f"{number} {entry}\n" for number, entry in enumerate(entries, start=1)))
    for kind in ("b/bamboo_forest", "f/forest/broadleaf", "o/ocean", "l/lake/natural"):
        for number in range(backgrounds):
            _save(places / kind / f"{number}.jpg", random.integers(0, 256, (25, 25, 3)))
    return {"birds": birds, "segmentations": masks, "places": places}


def _save(file, pixels):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(file)
