"""A file of random bytes: nothing compresses, nothing repeats."""

from __future__ import annotations

import random
from pathlib import Path

MIB = 1 << 20


def write_random_file(path: Path, size_bytes: int, seed: int) -> None:
    source = random.Random(seed)
    with path.open("wb") as file:
        for start in range(0, size_bytes, MIB):
            file.write(source.randbytes(min(MIB, size_bytes - start)))
