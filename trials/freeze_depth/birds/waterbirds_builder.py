"""Variants of Waterbirds from CUB-200-2011, its segmentations and Places365, by the rules of the released set.

    python -m trials.freeze_depth.birds.waterbirds_builder CUB SEGMENTATIONS PLACES TARGET --confounder 0.9

A regenerated set has other draws than the released one and is not to be mixed with it.

Source: the code released with Sagawa, Koh, Hashimoto and Liang, arXiv 1911.08731.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trials.core.data.waterbirds import COLUMNS, METADATA, pasted
from trials.freeze_depth.birds.groups import confounded_counts

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from PIL import Image

WATERBIRDS = (
    "albatross", "auklet", "cormorant", "frigatebird", "fulmar", "gull", "jaeger", "kittiwake", "pelican", "puffin",
    "tern", "gadwall", "grebe", "mallard", "merganser", "guillemot", "pacific_loon",
)  # fmt: skip
"""A species whose name contains one of these is a waterbird."""
MISTAKEN = ("eastern_towhee", "western_meadowlark", "western_wood_pewee")
"""Landbirds that the released set has as waterbirds, since eas-tern and wes-tern contain one of the names."""
BACKGROUNDS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {0: ("bamboo_forest", "forest/broadleaf"), 1: ("ocean", "lake/natural")}
)
_TRAIN, _VALIDATION, _TEST = 0, 1, 2
_VALIDATION_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the parts lie.

    Attributes:
        birds: Folder of CUB-200-2011, with `images.txt`, `train_test_split.txt` and `images/`.
        segmentations: Folder of its segmentations, PNGs named as the images.
        places: Folder of the classes of Places365 by their first letter: `b/bamboo_forest`, `f/forest/broadleaf`.
    """

    birds: Path
    segmentations: Path
    places: Path


class Bird(NamedTuple):
    """One image of the variant."""

    number: str
    file: str
    y: int
    split: int
    place: int


def is_waterbird(species: str, *, fix_labels: bool = False) -> bool:
    """Return whether a species, as `001.Black_footed_Albatross`, is a waterbird by the rule of the released set.

    Its three mistakes are included, unless labels are fixed, which changes the sizes of groups.
    """
    name = species.lower()
    mistaken = fix_labels and any(each in name for each in MISTAKEN)
    return not mistaken and any(each in name for each in WATERBIRDS)


def build(
    sources: Sources, target: Path, *, confounder: float = 0.95, fix_labels: bool = False, seed: int = 0
) -> Sequence[Bird]:
    """Write a variant: `metadata.csv` and the images that it names.

    Args:
        sources: Where the parts lie.
        target: Folder to write, which must not have metadata yet.
        confounder: Share of either class that is in its own place in training; in validation and test it is half.
        fix_labels: Whether the three mistaken species are landbirds.
        seed: Of all draws.

    Raises:
        ValueError: A file is missing, there are too few backgrounds, or the target has metadata already.
    """
    if not 0 <= confounder <= 1:
        raise ValueError(f"confounder must be between 0 and 1, got {confounder}")
    if (target / METADATA).exists():
        raise ValueError(f"{str(target)!r} has a {METADATA} already")
    random = np.random.default_rng(seed)
    birds = _placed(_listed(sources.birds, random, fix_labels=fix_labels), confounder, random)
    backgrounds = _backgrounds(sources.places, birds, random)
    for bird, background in zip(birds, backgrounds, strict=True):
        _write_image(sources, target / bird.file, bird.file, background)
    _write_metadata(target / METADATA, birds, [file.relative_to(sources.places) for file in backgrounds])
    return birds


def on_background(bird: Image.Image, mask: Image.Image, background: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Return the bird pasted on a background that is cut to its proportions around the centre, then made its size."""
    from PIL import Image

    width, height = bird.size
    behind = _cut(background, width / height)
    if behind.width < width or behind.height < height:
        behind = behind.resize((max(width, behind.width), max(height, behind.height)), Image.Resampling.LANCZOS)
    behind = behind.resize((width, height), Image.Resampling.LANCZOS)
    fractions = np.asarray(mask.convert("RGB"), np.float64) / 255
    return pasted(np.asarray(bird.convert("RGB")), np.asarray(behind.convert("RGB")), fractions)


def _cut(background: Image.Image, proportion: float) -> Image.Image:
    """Return the largest centred part whose width over height is `proportion`."""
    width, height = background.size
    kept = min(width, max(1, int(height * proportion))), min(height, max(1, int(width / proportion)))
    left, top = (width - kept[0]) // 2, (height - kept[1]) // 2
    return background.crop((left, top, left + kept[0], top + kept[1]))


def _listed(folder: Path, random: np.random.Generator, *, fix_labels: bool) -> list[Bird]:
    """Return the birds in the order of CUB with class and split, all on land as yet."""
    files = _column(folder / "images.txt")
    official = _column(folder / "train_test_split.txt")
    training = [number for number in files if official[number] == "1"]
    drawn = random.choice(len(training), round(_VALIDATION_SHARE * len(training)), replace=False)
    validation = {training[index] for index in drawn}
    split = {number: _VALIDATION if number in validation else _TRAIN for number in training}
    return [
        Bird(number, file, int(is_waterbird(file.split("/")[0], fix_labels=fix_labels)), split.get(number, _TEST), 0)
        for number, file in files.items()
    ]


def _placed(birds: Sequence[Bird], confounder: float, random: np.random.Generator) -> list[Bird]:
    """Return the birds with places drawn for each split and class."""
    placed = list(birds)
    for split in (_TRAIN, _VALIDATION, _TEST):
        classes = [[at for at, bird in enumerate(birds) if (bird.split, bird.y) == (split, y)] for y in (0, 1)]
        strength = confounder if split == _TRAIN else 0.5
        counts = confounded_counts(len(classes[0]), len(classes[1]), strength)
        for of_class, on_water in zip(classes, (counts[1], counts[3]), strict=True):
            for index in random.choice(len(of_class), on_water, replace=False):
                placed[of_class[index]] = placed[of_class[index]]._replace(place=1)
    return placed


def _backgrounds(folder: Path, birds: Sequence[Bird], random: np.random.Generator) -> list[Path]:
    """Return a background of its own for every bird."""
    pools = {}
    for place, classes in BACKGROUNDS.items():
        found = [file for name in classes for file in sorted((folder / name[0] / name).glob("*.jpg"))]
        pools[place] = [found[index] for index in random.permutation(len(found))]
        wanted = sum(bird.place == place for bird in birds)
        if len(found) < wanted:
            raise ValueError(f"{', '.join(classes)} of {str(folder)!r} have {len(found)} images, {wanted} are needed")
    return [pools[bird.place].pop() for bird in birds]


def _column(file: Path) -> dict[str, str]:
    """Return number -> entry of one of CUB's lists."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ValueError(f"no CUB-200-2011 at {str(file.parent)!r}: cannot read {file.name} ({error})") from error
    return dict(line.split(maxsplit=1) for line in lines if line.strip())


def _write_image(sources: Sources, target: Path, name: str, background: Path) -> None:
    from PIL import Image

    mask = (sources.segmentations / name).with_suffix(".png")
    try:
        with (
            Image.open(sources.birds / "images" / name) as bird,
            Image.open(mask) as cut,
            Image.open(background) as behind,
        ):
            image = Image.fromarray(on_background(bird, cut, behind))
    except OSError as error:
        raise ValueError(f"cannot make {name}: {str(error).splitlines()[0]}") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save(target)


def _write_metadata(file: Path, birds: Sequence[Bird], backgrounds: Sequence[Path]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for bird, background in zip(birds, backgrounds, strict=True):
            rows.writerow([bird.number, bird.file, bird.y, bird.split, bird.place, f"/{background.as_posix()}"])


def main() -> None:
    """Build a variant as the command line says."""
    parser = argparse.ArgumentParser(description="Build a variant of Waterbirds.")
    for name in ("birds", "segmentations", "places", "target"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--confounder", type=float, default=0.95, help="share of a class in its own place in training")
    parser.add_argument("--fix-labels", action="store_true", help="call three mistaken species landbirds")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sources = Sources(birds=given.birds, segmentations=given.segmentations, places=given.places)
    build(sources, given.target, confounder=given.confounder, fix_labels=given.fix_labels, seed=given.seed)


if __name__ == "__main__":
    main()
