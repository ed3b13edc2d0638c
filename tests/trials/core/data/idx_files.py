"""Small data sets in the files of MNIST, for tests of what depends on where data lie and what they hold."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

FILES = {
    "train-images-idx3-ubyte": (6, 28, 28),
    "train-labels-idx1-ubyte": (6,),
    "t10k-images-idx3-ubyte": (4, 28, 28),
    "t10k-labels-idx1-ubyte": (4,),
}


def mnist(folder: Path, seed: int = 0, *, zipped: bool = False) -> Path:
    """Write random digits as IDX files."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(seed)
    for name, shape in FILES.items():
        values = draws.integers(0, 10, shape, dtype=np.uint8).tobytes()
        content = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + values
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return folder
