"""What came to count as damaged or lost since the safesets were last looked at, and which records these are.

Where a record is flagged or a run key given up, the safesets of its keyring are due; where a disk was lost or came
back, a container is gone or the index was made anew, all are. Threads: `conclude` in the writer thread, the rest in
any; every step is one dictionary operation, and whoever goes through one takes a copy first.
"""

import os
import time
from collections.abc import Callable, Sequence

from blake3 import blake3
from msgspec import Struct

from vaultd.store.damage_notes import DamageNotes
from vaultd.store.index.index import Index

SUSPECTED_AGAIN_SECONDS = 3600


class Due(Struct, frozen=True):
    """By keyring id, flagged ones and suspected ones whose hour is over, each with what tells this look from a later
    one. `everything`: the same of a look at all safesets, which covers the others; None where none is due.
    """

    flagged: dict[bytes, bytes]
    suspected: dict[bytes, bytes]
    everything: bytes | None

    @property
    def keyrings(self) -> dict[bytes, bytes]:
        return self.suspected | self.flagged

    def only(self, keyring_id: bytes) -> "Due":
        flagged = {id_: stamp for id_, stamp in self.flagged.items() if id_ == keyring_id}
        suspected = {id_: stamp for id_, stamp in self.suspected.items() if id_ == keyring_id}
        return Due(flagged, suspected, None)


class DamageLooks:
    def __init__(self, index: Index, notes: DamageNotes, lacks_rows: Callable[[], bool]) -> None:
        self._index = index
        self._notes = notes
        self._lacks_rows = lacks_rows
        self._suspects: dict[bytes, bytes] = {}
        self._next_look_seconds: dict[bytes, float] = {}  # of a keyring that was suspected

    @property
    def waits_for_commit(self) -> bool:
        """Readers noted something that the index does not have yet."""
        return bool(self._notes.damaged or self._notes.whole)

    def suspect(self, keyring_id: bytes) -> None:
        """A record of it that somebody asked for has no row that leads to it. Not kept over a restart: nothing was
        found on a disk. Whoever asks for ids that never were has a keyring looked at, and in doubt until then, once an
        hour: before that hour is over nothing is due for it.
        """
        self._suspects[keyring_id] = os.urandom(8)

    def due(self) -> Due:
        given_up = self._given_up()
        is_same = given_up == self._index.looks.given_up_then()
        now_seconds = time.monotonic()
        suspects = self._suspects.copy()
        suspected = {
            id_: stamp for id_, stamp in suspects.items() if now_seconds >= self._next_look_seconds.get(id_, 0)
        }
        return Due(self._index.looks.due(), suspected, None if is_same else given_up)

    def is_due(self, keyring_id: bytes) -> bool:
        """Whether more of its safesets may be hurt than was found."""
        number = self._index.keyring_number(keyring_id)
        noted = {numbered for numbered, _ in list(self._notes.damaged)}  # first: a commit makes rows of them
        due = self.due()
        return due.everything is not None or keyring_id in due.keyrings or number in noted

    def is_any_due(self) -> bool:
        is_noted = bool(self._notes.damaged)
        due = self.due()
        return is_noted or due.everything is not None or bool(due.keyrings)

    def conclude(self, due: Due) -> None:
        """W. What this says was looked at, and its outcome is durable."""
        for keyring_id, stamp in due.suspected.items():
            self._next_look_seconds[keyring_id] = time.monotonic() + SUSPECTED_AGAIN_SECONDS
            newer = self._suspects.pop(keyring_id, stamp)
            if newer != stamp:
                self._suspects.setdefault(keyring_id, newer)
        self._index.looks.conclude(due.flagged, due.everything)

    def lost(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[bool | None]:
        """In the order of `ids`: whether nobody can be given that record, whatever is thought of the run that stored
        it. None where it may lie on a disk that is away.
        """
        found = self._index.lost(keyring_id, ids)
        if None not in found or self._lacks_rows():
            return found
        return [is_lost is not False for is_lost in found]

    def _given_up(self) -> bytes:
        """Changes with what counts as lost without a flag of its own."""
        numbers = b"".join(number.to_bytes(8, "big") for number in sorted(self._index.given_up))
        return blake3(bytes([self._lacks_rows()]) + numbers).digest(length=16)
