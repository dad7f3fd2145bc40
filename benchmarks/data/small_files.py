"""A tree like that of a program's source: small files of words, sizes log-normal, in a thousand directories."""

from __future__ import annotations

import math
import random
from pathlib import Path

from benchmarks.data.times import make_old
from benchmarks.data.words import Words

DIRECTORIES = 1_000
MEDIAN_BYTES, SIGMA = 4096, 1.5


def write_small_files(root: Path, files: int, seed: int) -> None:
    numbers, words = random.Random(seed), Words(seed)
    directories = [root / f"part-{number // 25:02d}" / f"dir-{number:03d}" for number in range(min(DIRECTORIES, files))]
    for directory in directories:
        directory.mkdir(parents=True)
    for number in range(files):
        path = directories[number % len(directories)] / f"file-{number:06d}.txt"
        path.write_bytes(words.write(numbers, int(numbers.lognormvariate(math.log(MEDIAN_BYTES), SIGMA))))
        make_old(path)
