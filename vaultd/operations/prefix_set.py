"""A set of ids by their first 8 bytes, which costs 9 bytes for each.

Two ids that begin alike are one here, so it may hold more than was added, and never less: what a mark holds by mistake
stays for a later one. Threads: one at a time.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

PREFIX_BYTES = 8
_PARTS = 16  # merged one by one, so that no second copy of all of it is ever there
_EDGES = np.arange(1, _PARTS, dtype=np.uint64) << np.uint64(60)
_WAITING_MIN = 1_000_000


class PrefixSet:
    """Each value in it also knows whether it was asked for since it was sorted in (`holds`)."""

    def __init__(self) -> None:
        self._parts: list[Any] = [np.empty(0, np.uint64) for _ in range(_PARTS)]
        self._met: list[Any] = [np.empty(0, bool) for _ in range(_PARTS)]
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
            self.settle()

    def holds(self, prefixes: Any) -> Any:
        """For each of these, which ascend, whether it is there. What waits is sorted for this answer alone, so that
        whoever is in a hurry merges nothing: `settle` first where much waits.
        """
        found = _are_in(self._sorted_waiting(), prefixes)
        starts = [0, *np.searchsorted(prefixes, _EDGES), len(prefixes)]
        for number, part in enumerate(self._parts):
            start, end = starts[number], starts[number + 1]
            if start < end and len(part):
                asked = prefixes[start:end]
                at = np.minimum(np.searchsorted(part, asked), len(part) - 1)
                is_there = part[at] == asked
                self._met[number][at[is_there]] = True
                found[start:end] |= is_there
        return found

    def unmet(self) -> Iterator[int]:
        """What nobody asked for."""
        for part, met in zip(self._parts, self._met, strict=True):
            yield from part[~met].tolist()

    def settle(self) -> None:
        """Sorts in what waits, which takes long where much is there: before somebody asks who is in a hurry."""
        if not self._waiting:
            return
        new = self._sorted_waiting()
        self._waiting, self._waiting_bytes = [], 0
        for number, piece in enumerate(np.split(new, np.searchsorted(new, _EDGES))):
            if len(piece):
                merged = _merged(self._parts[number], piece)
                met = np.zeros(len(merged), bool)
                met[np.searchsorted(merged, self._parts[number])] = self._met[number]
                self._parts[number], self._met[number] = merged, met

    def _sorted_waiting(self) -> Any:
        new = np.frombuffer(b"".join(self._waiting), ">u8").astype(np.uint64)
        new.sort()
        return new


def _are_in(held: Any, asked: Any) -> Any:
    """`held` ascends."""
    if not len(held):
        return np.zeros(len(asked), bool)
    return held[np.minimum(np.searchsorted(held, asked), len(held) - 1)] == asked


def _merged(held: Any, new: Any) -> Any:
    """Both ascend; each value once."""
    both = np.concatenate((held, new))
    both.sort(kind="stable")  # two runs that ascend are merged
    is_first = np.ones(len(both), bool)
    np.not_equal(both[1:], both[:-1], out=is_first[1:])
    return both[is_first]
