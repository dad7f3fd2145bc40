"""Which records the runs that go on may need: the ids that each offered, sent or is about to commit.

A lease is taken before the records are looked up, and ends with its run. Memory: 8 bytes for each id and PIECE_BYTES
for each call, LEASED_BYTES_MAX for all runs together. Where there is no room the account with most of it gives: its run
with most holds its whole keyring instead. So an account with no more than an equal share of the room keeps what it has,
whatever others lease. Threads: any; one lock.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

ID_BYTES = 32
LEASED_BYTES_MAX = 64 * 1024 * 1024
PIECE_BYTES = 64  # of a bytes object without its bytes, and its place in a list
# A run that nothing was heard of for so long holds nothing any more: its commit looks everything up again.
LEASE_SECONDS = 24 * 3600


def prefixes(ids: bytes | memoryview) -> bytes:
    """The first 8 bytes of each of the ids, which lie one after another."""
    return memoryview(ids).cast("B").cast("Q")[:: ID_BYTES // 8].tobytes()


@dataclass(slots=True)
class Lease:
    """`pieces`: prefixes of ids, in the order of leasing; it only grows. `is_of_all`: of the whole keyring.
    `leased_bytes`: of memory.
    """

    account_id: bytes
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

    def lease(self, account_id: bytes, run_id: bytes, keyring_id: bytes, ids: bytes | memoryview) -> None:
        """`ids` lie one after another."""
        piece = prefixes(ids)
        size = PIECE_BYTES + len(piece)
        with self._lock:
            lease = self._leases.setdefault((keyring_id, run_id), Lease(account_id))
            lease.used_seconds = self._now_seconds()
            if lease.is_of_all or not piece:
                return
            while self._leased_bytes + size > self._bytes_max:
                largest = self._largest(lease, size)
                largest.is_of_all = True  # first: who finds no ids must find this
                self._forget_ids(largest)
                if largest is lease:
                    return
            lease.pieces.append(piece)
            lease.leased_bytes += size
            self._leased_bytes += size

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

    def _largest(self, grown: Lease, by_bytes: int) -> Lease:
        """Of the account that would have most, the one that would, if this one grew."""
        sizes: Counter[bytes] = Counter()
        for lease in self._leases.values():
            sizes[lease.account_id] += lease.leased_bytes
        sizes[grown.account_id] += by_bytes
        ((account_id, _),) = sizes.most_common(1)
        own = (lease for lease in self._leases.values() if lease.account_id == account_id)
        return max(own, key=lambda lease: lease.leased_bytes + by_bytes * (lease is grown))

    def _forget_ids(self, lease: Lease) -> None:
        """What a mark holds of `pieces` meanwhile stays as it is."""
        self._leased_bytes -= lease.leased_bytes
        lease.leased_bytes = 0
        lease.pieces = []
