"""One hundredth of a tree's files written anew, in place."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks.data.times import make_old
from benchmarks.data.words import Words


def change_tree(root: Path, seed: int, step: int) -> None:
    """Each hundredth file on average gets a new second half, of words. `step`: later ones than before."""
    numbers, words = random.Random(seed), Words(seed)
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]
    for path in numbers.sample(files, max(1, len(files) // 100)):
        content = path.read_bytes()
        kept = len(content) // 2
        path.write_bytes(content[:kept] + words.write(numbers, max(1, len(content) - kept)))
        make_old(path, step)
