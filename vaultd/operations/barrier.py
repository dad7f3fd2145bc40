"""Safesets that were committed while a mark of their keyring goes on, or the sweep after it: the mark has not seen what
they use.

Nothing is dropped while one of them waits. Threads: the writer thread puts and asks, whoever marks takes; every step is
one operation on a list.
"""

from vaultd.records import Safeset


class Barrier:
    def __init__(self) -> None:
        self._keyring_id = b""
        self._waiting: list[Safeset] = []

    def raise_for(self, keyring_id: bytes) -> None:
        """W. From now on, until `lower`; one mark goes on at a time."""
        self._keyring_id = keyring_id
        self._waiting = []

    def lower(self) -> None:
        self._keyring_id = b""
        self._waiting = []

    def committed(self, safeset: Safeset) -> None:
        """W."""
        if safeset.keyring_id == self._keyring_id:
            self._waiting.append(safeset)

    @property
    def is_any_waiting(self) -> bool:
        """W. Before something is dropped."""
        return bool(self._waiting)

    def waiting(self) -> list[Safeset]:
        return list(self._waiting)

    def passed(self, safesets: list[Safeset]) -> None:
        """All that these use is marked."""
        del self._waiting[: len(safesets)]
