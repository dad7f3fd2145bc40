"""Restore tickets: leave to fetch records of one keyring, for the identity that showed the proof. Kept in memory only.

A ticket lives LIFE_SECONDS from its last use, so a restore may take longer than that.

Threads: any; one lock around the table.
"""

import os
import threading
from dataclasses import dataclass, replace

from vaultd.clock import Clock
from vaultd.errors import NotAllowed
from vaultd.records import Identity

TICKET_BYTES = 16
LIFE_SECONDS = 24 * 3600
PER_IDENTITY_MAX = 64


@dataclass(frozen=True, slots=True)
class Ticket:
    number: bytes
    identity_id: bytes
    account_id: bytes
    job_id: bytes
    keyring_id: bytes
    safeset_key: bytes  # of the row of what is read under it
    expires_seconds: float


class TicketBook:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tickets: dict[bytes, Ticket] = {}
        self._lock = threading.Lock()

    def issue(self, identity: Identity, job_id: bytes, keyring_id: bytes, safeset_key: bytes = b"") -> bytes:
        """A new ticket; beyond PER_IDENTITY_MAX the identity's oldest goes."""
        number = os.urandom(TICKET_BYTES)
        expires = self._clock.monotonic_seconds() + LIFE_SECONDS
        with self._lock:
            self._forget_expired()
            mine = [key for key, ticket in self._tickets.items() if ticket.identity_id == identity.identity_id]
            for key in mine[: max(len(mine) - PER_IDENTITY_MAX + 1, 0)]:
                del self._tickets[key]
            self._tickets[number] = Ticket(
                number, identity.identity_id, identity.account_id, job_id, keyring_id, safeset_key, expires
            )
        return number

    def find(self, identity: Identity, number: bytes) -> Ticket:
        """One refusal for unknown, foreign and expired; whoever uses a ticket keeps it."""
        now, owner = self._clock.monotonic_seconds(), (identity.identity_id, identity.account_id)
        with self._lock:
            ticket = self._tickets.get(number)
            if ticket is None or (ticket.identity_id, ticket.account_id) != owner or now >= ticket.expires_seconds:
                raise NotAllowed("this ticket is unknown or expired", "open the restore again with the password")
            self._tickets[number] = replace(ticket, expires_seconds=now + LIFE_SECONDS)
        return ticket

    def require(self, ticket: Ticket) -> None:
        """While a stream goes on under it: it may have been taken back meanwhile."""
        with self._lock:
            if ticket.number not in self._tickets:
                raise NotAllowed("this ticket was taken back", "open the restore again with the password")

    def take_back(self, identity_id: bytes, job_id: bytes | None = None) -> None:
        """All of this identity, or those for one job: what goes on under them ends with its next batch."""
        with self._lock:
            for key, ticket in list(self._tickets.items()):
                if ticket.identity_id == identity_id and job_id in (None, ticket.job_id):
                    del self._tickets[key]

    def safesets(self) -> frozenset[bytes]:
        """The keys of the rows of those that are read under a ticket now."""
        with self._lock:
            self._forget_expired()
            return frozenset(ticket.safeset_key for ticket in self._tickets.values())

    def forget(self, number: bytes) -> None:
        with self._lock:
            self._tickets.pop(number, None)

    def _forget_expired(self) -> None:
        now = self._clock.monotonic_seconds()
        for key in [key for key, ticket in self._tickets.items() if now >= ticket.expires_seconds]:
            del self._tickets[key]
