"""A tree whose content changes with every round: as many bytes as before, most of them new."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

MEDIUM_FILES, SMALL_FILES = 24, 60
MEDIUM_BYTES = 450_000
_SMALL_BYTES = [0, 1, 300, 9_000, 40_000]


def make_tree(root: Path, seed: int) -> None:
    """Little: the first backup makes the keyring and is not what is tortured."""
    source = random.Random(seed)
    for number in range(3):
        (root / f"dir-{number}").mkdir(parents=True)
        (root / f"dir-{number}" / "first").write_bytes(source.randbytes(5_000))
    (root / "link").symlink_to("dir-1/first")


class Trees:
    """One for each agent."""

    def __init__(self, roots: list[Path], seed: int) -> None:
        self._roots = roots
        self._source = random.Random(seed)

    def change(self) -> None:
        for root in self._roots:
            change_tree(root, self._source)


def change_tree(root: Path, source: random.Random) -> None:
    """About MEDIUM_FILES * MEDIUM_BYTES of new content; one file twice, one moved, one gone."""
    for number in range(MEDIUM_FILES):
        size = source.randrange(MEDIUM_BYTES // 2, MEDIUM_BYTES * 3 // 2)
        (root / f"dir-{number % 3}" / f"medium-{number}").write_bytes(source.randbytes(size))
    for number in source.sample(range(SMALL_FILES), SMALL_FILES // 2):
        (root / f"dir-{number % 3}" / f"small-{number}").write_bytes(source.randbytes(source.choice(_SMALL_BYTES)))
    first, second, third = source.sample(range(MEDIUM_FILES), 3)
    shutil.copy2(root / f"dir-{first % 3}" / f"medium-{first}", root / "copy")
    (root / f"dir-{second % 3}" / f"medium-{second}").replace(root / "moved")
    (root / f"dir-{third % 3}" / f"medium-{third}").unlink()
