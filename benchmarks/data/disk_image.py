"""A file like a disk's image: runs of text, of random bytes, of zeros and of what lies elsewhere in it.

Two fifths of it are what is left to store after compression and deduplication.
"""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.data.words import Words

MIB = 1 << 20
BLOCK_BYTES = 4096
CHANGED_RUN_BYTES = 64 << 10
RUN_BLOCKS_MAX = 1024
# Shares of runs, by count; runs of what lies elsewhere are as long as the others.
KINDS = {"text": 50, "random": 19, "zeros": 16, "again": 15}


def write_image(path: Path, size_bytes: int, seed: int) -> None:
    """Runs of 4 KiB to 4 MiB; what is repeated is a whole run from before."""
    numbers, words = random.Random(seed), Words(seed)
    before: list[tuple[int, int]] = []
    with path.open("w+b") as file:
        while (position := file.tell()) < size_bytes:
            length = min(BLOCK_BYTES * int(RUN_BLOCKS_MAX ** numbers.random()), size_bytes - position)
            (kind,) = numbers.choices(list(KINDS), list(KINDS.values()))
            if kind == "again" and before:
                start, length = numbers.choice(before)
                file.seek(start)
                content = file.read(min(length, size_bytes - position))
                file.seek(position)
            else:
                before.append((position, length))
                content = _content(kind, numbers, words, length)
            file.write(content)


def _content(kind: str, numbers: random.Random, words: Words, length: int) -> bytes:
    if kind == "zeros":
        return bytes(length)
    return numbers.randbytes(length) if kind == "random" else words.write(numbers, length)


def change_image(path: Path, seed: int) -> None:
    """One hundredth of it, in place, in runs of 64 KiB; half of them text."""
    numbers, words = random.Random(seed), Words(seed)
    runs = path.stat().st_size // CHANGED_RUN_BYTES
    with path.open("r+b") as file:
        for number in numbers.sample(range(runs), max(1, runs // 100)):
            file.seek(number * CHANGED_RUN_BYTES)
            file.write(_content(numbers.choice(("text", "random")), numbers, words, CHANGED_RUN_BYTES))


def shift_image(path: Path, seed: int) -> None:
    """One MiB of random bytes is inserted in front."""
    longer = path.with_name(f"{path.name}.longer")
    with longer.open("wb") as file, path.open("rb") as old:
        file.write(random.Random(seed).randbytes(MIB))
        while piece := old.read(MIB):
            file.write(piece)
    longer.replace(path)
