"""Records under a restore's ticket, in the order of asking; one that cannot be given costs the stream nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vaultd.catalog.keyrings import read_run_key
from vaultd.errors import BadRequest, Conflict, Damaged, Unavailable
from vaultd.operations.access import own_computer
from vaultd.operations.store_errors import translated
from vaultd.operations.tickets import Ticket
from vaultd.operations.vault import Vault
from vaultd.operations.wrapping import RUN_KEY, run_key_owners, unwrap
from vaultd.records import NO_ID, Identity
from vaultd.store.errors import DiskMissing, RecordDamaged
from vaultd.store.index_rows import Location
from vaultd.store.record_format import parse_header

FETCH_IDS_MAX = 4096
# Looked at in one turn of a thread, however small or damaged they are.
IDS_AT_ONCE = 256

# Why a record cannot be given; offline: its disk is away.
Loss = Literal["damaged", "missing", "offline"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records in the order of asking, as many as fitted; `keys` are (key id, sealed) that were not sent before."""

    records: list[bytes | Loss]
    keys: list[tuple[bytes, bytes]]


def open_fetch(vault: Vault, identity: Identity, ticket: bytes) -> "FetchStream":
    """A ticket is its computer's, and an agent that was replaced or removed is not that any more."""
    with vault.catalog.read() as view:
        own_computer(view, identity)
    return FetchStream(vault, vault.tickets.find(identity, ticket))


class FetchStream:
    """One stream of records under a ticket: each sealed key goes out once. Threads: one at a time."""

    def __init__(self, vault: Vault, ticket: Ticket) -> None:
        self._vault = vault
        self._ticket = ticket
        self._sent: set[bytes] = set()

    def fetch(self, ids: Sequence[bytes], bytes_max: int) -> Fetched:
        """The first records of `ids` that fit into `bytes_max`, at least one and IDS_AT_ONCE at most; every byte was
        held against its checksum.
        """
        if len(ids) > FETCH_IDS_MAX:
            raise BadRequest(f"ids: {len(ids)} are more than {FETCH_IDS_MAX}")
        self._vault.tickets.require(self._ticket)
        ids = ids[:IDS_AT_ONCE]
        records: list[bytes | Loss] = []
        size = 0
        with translated():
            locations = self._locate(ids)
            for id_, location in zip(ids, locations, strict=True):
                length = location.length if isinstance(location, Location) else 0
                if size and size + length > bytes_max:
                    break
                records.append(self._read(location, id_))
                size += length
        return Fetched(records, self._new_keys([record for record in records if not isinstance(record, str)]))

    def _locate(self, ids: Sequence[bytes]) -> Sequence[Location | Loss]:
        """A damaged row of the index costs its own record only."""
        store, keyring_id = self._vault.store, self._ticket.keyring_id
        try:
            found = store.locate(keyring_id, ids)
            absent: Loss = "offline" if None in found and store.lacks_rows else "missing"
            if None in found and absent == "missing":
                store.looks.suspect(keyring_id)
            return [location or absent for location in found]
        except RecordDamaged:
            store.looks.suspect(keyring_id)
            return ["damaged"] if len(ids) == 1 else [self._locate([id_])[0] for id_ in ids]

    def _read(self, location: Location | Loss, id_: bytes) -> bytes | Loss:
        if isinstance(location, str):
            return location
        try:
            return self._vault.store.read(location, id_)
        except DiskMissing:
            return "offline"
        except RecordDamaged:
            return "damaged"

    def _new_keys(self, records: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """One that cannot be read is left out: it costs the records under it, which the agent names one by one."""
        new = dict.fromkeys(parse_header(record).key_id for record in records)
        wanted = [key_id for key_id in new if key_id != NO_ID and key_id not in self._sent]
        if not wanted:
            return []
        with self._vault.catalog.read() as view:
            rows = [read_run_key(view, self._ticket.account_id, self._ticket.keyring_id, key_id) for key_id in wanted]
        keys = []
        for key_id, row in zip(wanted, rows, strict=True):
            if row is None:
                continue
            owners = run_key_owners(row.job_id, self._ticket.keyring_id)
            try:
                keys.append((key_id, unwrap(self._vault, owners, RUN_KEY, key_id, row.wrapped)))
            except (Damaged, Unavailable, Conflict):
                continue
            self._sent.add(key_id)
        return keys
