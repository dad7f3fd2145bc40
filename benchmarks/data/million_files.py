"""Very many small files of random bytes, 100 in each directory."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.data.times import make_old

NAMES_IN_DIRECTORY = 100
CONTENT_BYTES_MAX = 2048


def write_million(root: Path, files: int, seed: int) -> None:
    source = random.Random(seed)
    for number in range(files):
        path = million_path(root, number)
        if number % NAMES_IN_DIRECTORY == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(source.randbytes(source.randrange(CONTENT_BYTES_MAX)))
        make_old(path)


def million_path(root: Path, number: int) -> Path:
    group = number // NAMES_IN_DIRECTORY
    above = root / f"{group // NAMES_IN_DIRECTORY:03d}" / f"{group % NAMES_IN_DIRECTORY:02d}"
    return above / f"file-{number:07d}"
