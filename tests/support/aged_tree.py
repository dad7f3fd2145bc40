"""A tree of small files that changes a little before each run, made from a seed, and what of a vault's newest safeset a
restore needs: counted from the companions, which are in clear, and the records beside them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.trees import OLD_NS

HEADER_BYTES = 84
FILE_BYTES_MAX = 1_000_000


class AgedTree:
    """Every content is another one, so what is restored is what lies there."""

    def __init__(self, root: Path, seed: int, files: int, mean_bytes: int) -> None:
        self._random = random.Random(seed)
        self._mean_bytes = mean_bytes
        self._paths = [root / f"dir-{number // 50:04}" / f"file-{number:06}" for number in range(files)]
        self._sizes: dict[Path, int] = {}
        for path in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path)

    @property
    def total_bytes(self) -> int:
        return sum(self._sizes.values())

    def change(self, count: int) -> int:
        """So many of its files get another content; the bytes of it."""
        return sum(self._write(path) for path in self._random.sample(self._paths, count))

    def _write(self, path: Path) -> int:
        """With times that a backup trusts."""
        size = max(16, min(FILE_BYTES_MAX, int(self._random.expovariate(1 / self._mean_bytes))))
        path.write_bytes(self._random.randbytes(size))
        os.utime(path, ns=(1, OLD_NS + self._random.randrange(1_000_000_000)))
        self._sizes[path] = size
        return size


def chunks_of_newest(records: Mapping[bytes, bytes], roots: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
    """The ids of all chunks that its entries use."""
    found: set[bytes] = set()
    left = [roots[-1][0][192:224]]
    while left:
        body = records[left.pop()][HEADER_BYTES:]
        ids = 5 + 32 * int.from_bytes(body[1:5], "little")
        if body[0] == 0:
            found.update(body[start : start + 32] for start in range(5, ids, 32))
        left += [body[start : start + 32] for start in range(ids + 4, len(body), 32)]
    return found
