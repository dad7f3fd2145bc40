"""Which records the runs that go on may need: the ids that each offered, sent or is about to commit.

A lease is taken before the records are looked up, and ends with its run. Memory: 8 bytes for each id, LEASED_BYTES_MAX
for all runs together; where there is no room the run with most of them holds its whole keyring instead, so that nobody
takes the room of others. Threads: any; one lock.
"""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

ID_BYTES = 32
LEASED_BYTES_MAX = 64 * 1024 * 1024
# A run that nothing was heard of for so long holds nothing any more: its commit looks everything up again.
LEASE_SECONDS = 24 * 3600


def prefixes(ids: bytes | memoryview) -> bytes:
    """The first 8 bytes of each of the ids, which lie one after another."""
    return memoryview(ids).cast("B").cast("Q")[:: ID_BYTES // 8].tobytes()


@dataclass(slots=True)
class Lease:
    """`pieces`: prefixes of ids, in the order of leasing; it only grows. `is_of_all`: of the whole keyring."""

    used_seconds: float = 0.0
    pieces: list[bytes] = field(default_factory=list)
    is_of_all: bool = False
    leased_bytes: int = 0


class Leases:
    def __init__(self, now_seconds: Callable[[], float] = time.monotonic, bytes_max: int = LEASED_BYTES_MAX) -> None:
        self._now_seconds = now_seconds
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._leases: dict[tuple[bytes, bytes], Lease] = {}  # by keyring and run: ids of runs come from outside
        self._leased_bytes = 0

    def lease(self, run_id: bytes, keyring_id: bytes, ids: bytes | memoryview) -> None:
        """`ids` lie one after another."""
        piece = prefixes(ids)
        with self._lock:
            lease = self._leases.setdefault((keyring_id, run_id), Lease())
            lease.used_seconds = self._now_seconds()
            if lease.is_of_all or not piece:
                return
            while self._leased_bytes + len(piece) > self._bytes_max:
                largest = max(self._leases.values(), key=lambda one: one.leased_bytes + len(piece) * (one is lease))
                largest.is_of_all = True  # first: who finds no ids must find this
                self._forget_ids(largest)
                if largest is lease:
                    return
            lease.pieces.append(piece)
            lease.leased_bytes += len(piece)
            self._leased_bytes += len(piece)

    def of_keyring(self, keyring_id: bytes) -> dict[bytes, Lease]:
        """By run."""
        with self._lock:
            return {run_id: lease for (held_id, run_id), lease in self._leases.items() if held_id == keyring_id}

    def keep_only(self, keyring_id: bytes, run_ids: Collection[bytes]) -> None:
        """Those of other runs of the keyring end, and those of runs that nothing was heard of for LEASE_SECONDS."""
        oldest = self._now_seconds() - LEASE_SECONDS
        with self._lock:
            for (held_id, run_id), lease in list(self._leases.items()):
                if held_id == keyring_id and (run_id not in run_ids or lease.used_seconds < oldest):
                    self._forget_ids(lease)
                    del self._leases[held_id, run_id]

    def keep_running(self, run_ids: Collection[bytes]) -> None:
        """Those of all other runs end, of whatever keyring."""
        with self._lock:
            for (held_id, run_id), lease in list(self._leases.items()):
                if run_id not in run_ids:
                    self._forget_ids(lease)
                    del self._leases[held_id, run_id]

    def _forget_ids(self, lease: Lease) -> None:
        """What a mark holds of `pieces` meanwhile stays as it is."""
        self._leased_bytes -= lease.leased_bytes
        lease.leased_bytes = 0
        lease.pieces = []
