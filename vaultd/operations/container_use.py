"""How much of each container is needed, as a sweep through all rows of the index found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaultd.store.containers.format import BLOCK_BYTES, DIRECTORY_ROW_BYTES
from vaultd.store.index_rows import ContainerRow, Location


@dataclass(slots=True)
class ContainerUse:
    """By container, with the row of the directory that each record has."""

    _bytes: dict[int, int] = field(default_factory=dict)

    def add(self, containers: Any, lengths: Any) -> None:
        """Arrays: where each record lies, and how long it is."""
        numbers, at = np.unique(containers, return_inverse=True)
        sums = np.bincount(at, weights=lengths + DIRECTORY_ROW_BYTES)
        for number, size in zip(numbers.tolist(), sums.tolist(), strict=True):
            self._bytes[number] = self._bytes.get(number, 0) + int(size)

    def take_off(self, places: Iterable[Location]) -> None:
        """Records that were counted and dropped since."""
        for place in places:
            self._bytes[place.container] -= place.length + DIRECTORY_ROW_BYTES

    def dead_bytes(self, row: ContainerRow) -> int:
        """What a copy of it would not have: dropped records, those that others took the place of, and padding."""
        needed = self._bytes.get(row.number, 0) + 2 * BLOCK_BYTES
        return max(row.acknowledged_length - needed, 0)
