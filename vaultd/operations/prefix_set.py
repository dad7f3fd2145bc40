"""A set of ids by their first 8 bytes, which costs 8 bytes for each.

Two ids that begin alike are one here, so it may hold more than was added, and never less: what a mark holds by mistake
stays for a later one. Threads: one at a time.
"""

from typing import Any

import numpy as np

PREFIX_BYTES = 8
_PARTS = 16  # merged one by one, so that no second copy of all of it is ever there
_EDGES = np.arange(1, _PARTS, dtype=np.uint64) << np.uint64(60)
_WAITING_MIN = 1_000_000


class PrefixSet:
    def __init__(self) -> None:
        self._parts: list[Any] = [np.empty(0, np.uint64) for _ in range(_PARTS)]
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def __len__(self) -> int:
        """Of what is sorted in already."""
        return sum(len(part) for part in self._parts)

    def add(self, prefixes: bytes) -> None:
        """One after another, in any order."""
        self._waiting.append(prefixes)
        self._waiting_bytes += len(prefixes)
        if self._waiting_bytes >= PREFIX_BYTES * max(_WAITING_MIN, len(self) // 4):
            self._settle()

    def holds(self, prefixes: Any) -> Any:
        """For each of these, which ascend, whether it is there."""
        self._settle()
        found = np.zeros(len(prefixes), bool)
        starts = [0, *np.searchsorted(prefixes, _EDGES), len(prefixes)]
        for part, start, end in zip(self._parts, starts, starts[1:], strict=False):
            if start < end and len(part):
                asked = prefixes[start:end]
                at = np.minimum(np.searchsorted(part, asked), len(part) - 1)
                found[start:end] = part[at] == asked
        return found

    def _settle(self) -> None:
        if not self._waiting:
            return
        new = np.frombuffer(b"".join(self._waiting), ">u8").astype(np.uint64)
        self._waiting, self._waiting_bytes = [], 0
        new.sort()
        pieces = np.split(new, np.searchsorted(new, _EDGES))
        self._parts = [_merged(part, piece) for part, piece in zip(self._parts, pieces, strict=True)]


def _merged(held: Any, new: Any) -> Any:
    """Both ascend; each value once."""
    if not len(new):
        return held
    both = np.concatenate((held, new))
    both.sort(kind="stable")  # two runs that ascend are merged
    is_first = np.ones(len(both), bool)
    np.not_equal(both[1:], both[:-1], out=is_first[1:])
    return both[is_first]
