"""Where a file of 1 MiB or more is cut: slow, and word for word the page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

MINIMUM_BYTES, MEAN_BYTES, MAXIMUM_BYTES = 524_288, 1_048_576, 4_194_304
SMALL_MASK, LARGE_MASK = 0x0000D91767537000, 0x0000D91707537000
WORD = (1 << 64) - 1
GEAR = [int.from_bytes(hashlib.md5(bytes([value]) * 64).digest()[:8], "big") for value in range(256)]


@dataclass(frozen=True, slots=True)
class Gears:
    """The tables of one seed: gear, and gear2 for the first byte of each step of two."""

    gear: list[int]
    gear2: list[int]


def gears(seed: int) -> Gears:
    gear = [value ^ seed for value in GEAR]
    return Gears(gear, [((value << 1) ^ (seed << 1)) & WORD for value in GEAR])


def cut(window: bytes, tables: Gears) -> int:
    """The length of the next chunk; `window` is the next 4 MiB from the last cut on, or what is left."""
    length = len(window)
    if length <= MINIMUM_BYTES:
        return length
    middle, end = min(MEAN_BYTES, length) // 2, length // 2
    state = 0
    for index in range(MINIMUM_BYTES // 2, end):
        mask = SMALL_MASK if index < middle else LARGE_MASK
        at = 2 * index
        state = ((state << 2) + tables.gear2[window[at]]) & WORD
        if state & (mask << 1) == 0:
            return at
        state = (state + tables.gear[window[at + 1]]) & WORD
        if state & mask == 0:
            return at + 1
    return length


def cut_lengths(data: bytes, seed: int) -> Iterator[int]:
    tables, position = gears(seed), 0
    while position < len(data):
        length = cut(data[position : position + MAXIMUM_BYTES], tables)
        yield length
        position += length
