"""What the pages of one list of leaning safesets share: which runs and keys a suspicion is about, as of its first page.

The runs of a long history are gone through once and not for each page. In memory only; after a restart, or where too
much else was asked, the next page looks again.

Threads: any; one lock around the book.
"""

import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vaultd.clock import Clock
from vaultd.records import Run
from vaultd.store.index_rows import Location

LIFE_SECONDS = 600  # from the last page on
KEPT_MAX = 4
# 8 bytes each; what has more is looked up for each page.
KEYS_MAX = 1_000_000

HIT = (b"distrusted",)


@dataclass(frozen=True, slots=True)
class Suspects:
    """`oldest`: by job the number of the oldest run that is meant; all behind it are. `keys`: in order, the numbers of
    keyring and key that the index has.
    """

    oldest: Mapping[bytes, int]
    keyring_ids: frozenset[bytes]
    keys: "array[int]"

    def are_makers(self, run: Run | None) -> bool:
        """Whether the run is one of them."""
        return run is not None and run.job_id in self.oldest and run.number >= self.oldest[run.job_id]

    def of(self, location: Location | None, id_: bytes) -> tuple[bytes, ...]:
        """Whether a record lies under one of the keys, as a walk through a safeset asks it."""
        if location is None:
            return ()
        name = _name(location.keyring_number, location.key_number)
        at = bisect_left(self.keys, name)
        return HIT if at < len(self.keys) and self.keys[at] == name else ()


def find_suspects(runs: Iterable[Run], key_numbers: Iterable[tuple[int, int]]) -> Suspects:
    oldest: dict[bytes, int] = {}
    keyring_ids = set()
    for run in runs:
        oldest[run.job_id] = min(run.number, oldest.get(run.job_id, run.number))
        keyring_ids.add(run.keyring_id)
    return Suspects(oldest, frozenset(keyring_ids), array("Q", sorted(_name(*numbers) for numbers in key_numbers)))


def _name(keyring_number: int, key_number: int) -> int:
    return keyring_number << 32 | key_number


class SuspectBook:
    """By what was asked, and for which account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[bytes, str, int], tuple[float, Suspects]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, asked: tuple[bytes, str, int]) -> Suspects | None:
        now = self._clock.monotonic_seconds()
        with self._lock:
            kept = self._kept.pop(asked, None)
            if kept is None or now - kept[0] >= LIFE_SECONDS:
                return None
            self._kept[asked] = (now, kept[1])
        return kept[1]

    def keep(self, asked: tuple[bytes, str, int], found: Suspects) -> None:
        if len(found.keys) > KEYS_MAX:
            return
        with self._lock:
            self._kept.pop(asked, None)
            self._kept[asked] = (self._clock.monotonic_seconds(), found)
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
