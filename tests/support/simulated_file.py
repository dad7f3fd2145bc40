"""A file of a simulated disk: what reads show, what the disk holds, and what a power cut may leave of it."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

SECTOR_BYTES = 512
PAGE_BYTES = 4096


class Write(NamedTuple):
    offset: int
    data: bytes


class Resize(NamedTuple):
    length: int


class File:
    """`log` is what was done since the last sync; `lost` are writes that only the page cache still shows."""

    __slots__ = ("durable", "live", "log", "lost")

    def __init__(self, data: bytes | bytearray = b"") -> None:
        self.live = bytearray(data)
        self.durable = bytearray(data)
        self.log: list[Write | Resize] = []
        self.lost: list[Write] = []

    def copy(self) -> "File":
        twin = File(self.live)
        twin.durable[:] = self.durable
        twin.log, twin.lost = list(self.log), list(self.lost)
        return twin

    def write(self, offset: int, data: bytes) -> None:
        if data:
            place(self.live, offset, data)
            self.log.append(Write(offset, data))

    def resize(self, length: int) -> None:
        resize(self.live, length)
        self.log.append(Resize(length))

    def sync(self) -> None:
        for step in self.log:
            apply(self.durable, step)
        self.log.clear()

    def lose_sync(self) -> None:
        """As after a failed fsync: pages are marked clean, only the size waits for another sync."""
        self.lost += [step for step in self.log if isinstance(step, Write)]
        self.log[:] = [Resize(len(self.live))] if len(self.live) != len(self.durable) else []

    def evict(self) -> None:
        """What is read next comes from the disk, but for what still waits for a sync."""
        if not self.lost:
            return
        size = len(self.live)
        self.live[:] = self.durable
        resize(self.live, size)
        for step in self.log:
            apply(self.live, step)
        self.lost.clear()

    def cut_power(self, rng: Random, stale: bytes) -> None:
        if self.log:
            self.durable = survivors(self.durable, self.log, rng, stale)
        self.live = bytearray(self.durable)
        self.log.clear()
        self.lost.clear()


def place(data: bytearray, offset: int, piece: bytes) -> None:
    """Writes into `data`, behind its end with a hole of zeros."""
    if offset > len(data):
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(piece)] = piece


def resize(data: bytearray, length: int) -> None:
    del data[length:]
    data.extend(bytes(length - len(data)))


def apply(data: bytearray, step: Write | Resize) -> None:
    if isinstance(step, Write):
        place(data, step.offset, step.data)
    else:
        resize(data, step.length)


def survivors(durable: bytearray, log: list[Write | Resize], rng: Random, stale: bytes) -> bytearray:
    """One of the contents that a power cut may leave of a file."""
    data = bytearray(durable)
    written = bytearray(data)  # to learn the sizes on the way
    sizes = [len(data)]
    chance = rng.choice((0.0, 0.5, 0.5, 1.0))
    known = [(0, len(data))]  # what is surely no hole
    for step in log:
        apply(written, step)
        sizes.append(len(written))
        if isinstance(step, Resize):
            if step.length < len(data) and rng.random() < chance:
                del data[step.length :]
                known = [(start, min(end, step.length)) for start, end in known]
            continue
        for offset, piece in pieces(step, rng, chance):
            place(data, offset, piece)
            known.append((offset, offset + len(piece)))
    size = rng.choice((sizes[-1], rng.choice(sizes)))
    resize(data, size)
    fill(data, known, rng, stale)
    return data


def pieces(step: Write, rng: Random, chance: float) -> Iterator[tuple[int, bytes]]:
    """What lands of one write: all of it, nothing, or some of the units of the device or of the page cache."""
    way = rng.choice(("whole", SECTOR_BYTES, PAGE_BYTES))
    if way == "whole":
        if rng.random() < chance:
            yield step
        return
    unit = int(way)
    end = step.offset + len(step.data)
    at = step.offset
    while at < end:
        following = min(end, (at // unit + 1) * unit)
        if rng.random() < chance:
            yield at, step.data[at - step.offset : following - step.offset]
        at = following


def fill(data: bytearray, known: list[tuple[int, int]], rng: Random, stale: bytes) -> None:
    """Where nothing was written the file reads as zeros, as garbage, or as what another file held there."""
    way = rng.choice(("zeros", "zeros", "garbage", "stale"))
    if way == "zeros":
        return
    at = 0
    for start, end in [*sorted(known), (len(data), len(data))]:
        start = min(start, len(data))
        if start > at:
            hole = start - at
            old = stale[at:start] if way == "stale" else rng.randbytes(hole)
            data[at : at + len(old)] = old
        at = max(at, end)
