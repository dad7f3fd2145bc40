"""Drops the records of one keyring that no safeset uses and no run may need.

Mark: everything that the keyring's live safesets use, from their companions, without keys; what runs that go on build
upon and restores that go on read is live too. Sweep: rows that are not marked are dropped in the write thread, unless a
run leased them. Safesets that are committed meanwhile wait at the barrier, and nothing is dropped before what they use
is marked as well. Nothing of this is kept: a mark dies with the process.

Invariants: a mark that could not read all it had to drops nothing. Records in containers that were opened after it
began are never dropped by it. A run key goes when no row of its keyring is under it, by the rows themselves, and its
run had ended before the sweep began. Threads: `begin`, `drop`, `forget_keys` and `end` in the write thread, the rest in
one other at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from vaultd.catalog.database import View
from vaultd.catalog.jobs import owner_of, read_job
from vaultd.catalog.keyrings import list_run_keys, remove_run_key
from vaultd.catalog.rows import decode
from vaultd.catalog.runs import list_active_runs, read_run
from vaultd.errors import BadRequest, VaultError
from vaultd.operations import clock_doubt, ledger
from vaultd.operations.companion_format import split_companion
from vaultd.operations.container_use import ContainerUse
from vaultd.operations.prefix_set import PREFIX_BYTES, PrefixSet
from vaultd.operations.root_format import parse_root
from vaultd.operations.safesets import tree_of
from vaultd.operations.standing import is_live
from vaultd.operations.store_errors import translated
from vaultd.operations.tree_walk import COMPANIONS_AT_ONCE, locate_each
from vaultd.operations.vault import Vault
from vaultd.records import Outcome, Run, Safeset
from vaultd.store.errors import RecordDamaged, StoreError
from vaultd.store.index.record_row import decode_row
from vaultd.store.index.row_vectors import readable, vector_of, vectors
from vaultd.store.index.stored_rows import StoredRow
from vaultd.store.leases import ID_BYTES, LEASE_SECONDS, Lease, prefixes
from vaultd.store.record_format import HEADER_BYTES, parse_record

# Dropped in one call of the write thread.
DROPPED_AT_ONCE = 2_048
LOOKED_FOR_AT_ONCE = 1_000
KEYS_AT_ONCE = 1_000  # taken out of the catalog in one entry
EARLIER_RUN = "a run from before the start may go on"
LEASES_FULL = "a run that goes on uses more than can be leased"


def why_held(vault: Vault) -> str:
    """Why nothing at all is dropped or moved in a pass, empty where it may be. Reads the directory of each disk."""
    with translated():
        return vault.store.house.held_by()


def why_held_now(vault: Vault) -> str:
    """The same of what may change during a pass; asked for each keyring."""
    if clock_doubt.is_doubted(vault):
        return "the clock of the vault jumped: `vaultctl clock accept` once it is right"
    return vault.store.house.away()


def end_leases(vault: Vault) -> None:
    """W. Of runs that have ended, also where nothing was ever stored under their keyring."""
    with vault.catalog.read() as view:
        run_ids = {run.run_id for run in list_active_runs(view)}
    vault.leases.keep_running(run_ids)


def owner_of_keyring(vault: Vault, keyring_id: bytes) -> bytes:
    """The account, empty where nobody has it."""
    with vault.catalog.read() as view:
        return owner_of(view, keyring_id) or b""


@dataclass(slots=True)
class KeyringCollection:
    """One mark of a keyring and the sweep after it. `held_by`: why nothing of it is dropped, empty where it may be."""

    vault: Vault
    account_id: bytes
    keyring_id: bytes
    use: ContainerUse
    held_by: str = ""
    records_marked: int = 0
    records_swept: int = 0
    lacks_rows: bool = False
    _marked: PrefixSet = field(default_factory=PrefixSet)
    _seen: set[bytes] = field(default_factory=set)  # companions
    _newest: int = 0  # container that was there when the mark began
    _leased: dict[bytes, tuple[Lease, PrefixSet, int]] = field(default_factory=dict)  # by run; the count of its pieces
    _ended_keys: list[bytes] = field(default_factory=list)
    _used_keys: set[int] = field(default_factory=set)

    def begin(self) -> None:
        """W."""
        if not self.account_id:
            self.held_by = "no account has it"
        self._newest = max((row.number for row in self.vault.store.containers()), default=0)
        self.vault.barrier.raise_for(self.keyring_id)
        with self.vault.catalog.read() as view:
            run_ids = {run.run_id for run in self._active_runs(view)}
        self.vault.leases.keep_only(self.keyring_id, run_ids)
        if run_ids & self.vault.active_at_start and self.vault.uptime_seconds < LEASE_SECONDS:
            self.held_by = EARLIER_RUN  # its leases went with the process

    def end(self) -> None:
        """W."""
        self.vault.barrier.lower()

    def mark(self) -> Iterator[None]:
        """Yields after each piece of work."""
        if self.held_by:
            return
        with self.vault.catalog.read() as view:
            safesets = list(self._live_safesets(view))
            self._ended_keys = list(self._keys_of_ended_runs(view))
        yield
        for safeset in safesets:
            yield from self._mark(safeset)
        self._marked.settle()

    def pass_barrier(self) -> Iterator[None]:
        """Marks what the safesets use that were committed since."""
        while safesets := self.vault.barrier.waiting():
            for safeset in safesets:
                yield from self._mark(safeset)
            self._marked.settle()
            self.vault.barrier.passed(safesets)

    def sweep(self) -> Iterator[list[StoredRow]]:
        """Goes through the rows of the keyring; after each piece those that are not marked, DROPPED_AT_ONCE at most."""
        for rows in self.vault.store.house.rows(self.keyring_id):
            yield from self._unmarked(readable(rows))

    def drop(self, rows: Sequence[StoredRow]) -> tuple[int, int] | None:
        """W. How many records that was, and their bytes; None where safesets wait at the barrier."""
        if self.vault.barrier.is_any_waiting:
            return None
        if self.held_by:
            return 0, 0
        with translated():
            places = self.vault.store.house.drop(self.keyring_id, rows, self._newest, self._are_needed)
        self.use.take_off(places)
        return len(places), sum(place.length for place in places)

    def would_drop(self, rows: Sequence[StoredRow]) -> tuple[int, int] | None:
        """W. The same, and nothing is dropped."""
        if self.vault.barrier.is_any_waiting:
            return None
        if self.held_by:
            return 0, 0
        places = self.vault.store.house.droppable(rows, self._newest, self._are_needed)
        self.use.take_off(places)
        return len(places), sum(place.length for place in places)

    def look_for_missing(self) -> Iterator[None]:
        """Whether something that live safesets use has no row: then the index may lack what lies in a container."""
        house = self.vault.store.house
        unmet = iter(()) if self.held_by else self._marked.unmet()
        while batch := list(islice(unmet, LOOKED_FOR_AT_ONCE)):
            if not all(house.has_row(self.keyring_id, prefix.to_bytes(PREFIX_BYTES, "big")) for prefix in batch):
                self.lacks_rows = True
                self.vault.store.looks.suspect(self.keyring_id)
                return
            yield

    def look_for_keys(self) -> Iterator[None]:
        """Whether run keys of runs that have ended are not used any more: each row is held against its checksum. After
        `look_for_missing`: a record without a row is under a key too.
        """
        if self.held_by or self.lacks_rows or self.vault.store.lacks_rows or not self._unused_keys():
            self._ended_keys = []
            return
        yield
        for rows in self.vault.store.house.rows(self.keyring_id):
            for key, value in rows:
                location = decode_row(key, value)
                if location is None:  # it may be of any key
                    self._ended_keys = []
                    return
                self._used_keys.add(location.key_number)
            yield
        self._ended_keys = self._unused_keys()

    def forget_keys(self) -> int:
        """W. Those that `look_for_keys` left, KEYS_AT_ONCE at most: how many, 0 at the end."""
        keys, self._ended_keys = self._ended_keys[:KEYS_AT_ONCE], self._ended_keys[KEYS_AT_ONCE:]
        if keys:
            changes = [change for key in keys for change in remove_run_key(self.account_id, self.keyring_id, key)]
            ledger.record(self.vault, changes)
        return len(keys)

    def _unused_keys(self) -> list[bytes]:
        numbers = self.vault.store.house.key_numbers(self._ended_keys)
        return [key for key, number in zip(self._ended_keys, numbers, strict=True) if number not in self._used_keys]

    def _active_runs(self, view: View) -> Iterator[Run]:
        return (run for run in list_active_runs(view, self.account_id) if run.keyring_id == self.keyring_id)

    def _keys_of_ended_runs(self, view: View) -> Iterator[bytes]:
        for key in list_run_keys(view, self.account_id, self.keyring_id):
            run = read_run(view, self.account_id, key.run_id)
            if run is not None and run.outcome is not Outcome.RUNNING:
                yield key.key_id

    def _live_safesets(self, view: View) -> Iterator[Safeset]:
        """Of all jobs of the account. What a run that goes on builds upon, and what a restore that goes on reads, is
        live whatever became of it.
        """
        bases = {(run.job_id, run.base) for run in self._active_runs(view)}
        read = self.vault.tickets.safesets()
        for key, value in view.scan("safesets", self.account_id):
            safeset = decode("safesets", key, value, Safeset)
            if safeset.keyring_id != self.keyring_id:
                continue
            job = read_job(view, self.account_id, safeset.job_id)
            is_used = (safeset.job_id, safeset.root_hash) in bases or key in read
            if is_used or job is None or is_live(view, job, safeset):
                yield safeset

    def _mark(self, safeset: Safeset) -> Iterator[None]:
        tree = tree_of(parse_root(safeset.root))
        self._add(safeset.payload_id + tree.top_block + tree.top_companion)
        stack = [] if tree.top_companion in self._seen else [tree.top_companion]
        self._seen.update(stack)
        while stack and not self.held_by:
            batch = [stack.pop() for _ in range(min(len(stack), COMPANIONS_AT_ONCE))]
            for children in self._mark_companions(batch):
                new = [child for child in dict.fromkeys(children) if child not in self._seen]
                self._seen.update(new)
                stack.extend(new)
            yield

    def _mark_companions(self, ids: Sequence[bytes]) -> Iterator[list[bytes]]:
        """The companions below each."""
        locations = locate_each(self.vault.store, self.keyring_id, ids)
        for id_, location in zip(ids, locations, strict=True):
            try:
                if location is None:
                    raise RecordDamaged(f"companion {id_.hex()} is missing")
                record = self.vault.store.read(location, id_)
                if parse_record(record).sealed:
                    raise BadRequest(f"record {id_.hex()} is no companion")
                used, below = split_companion(memoryview(record)[HEADER_BYTES:], f"companion {id_.hex()}")
            except (StoreError, VaultError, OSError) as error:
                self.held_by = f"what its safesets use is not known: {error}"
                return
            self._add(used)
            self._add(below)
            yield [below[at : at + ID_BYTES] for at in range(0, len(below), ID_BYTES)]

    def _add(self, ids: bytes) -> None:
        self._marked.add(prefixes(ids))
        self.records_marked += len(ids) // ID_BYTES

    def _unmarked(self, rows: list[StoredRow]) -> Iterator[list[StoredRow]]:
        if not rows:
            return
        self.records_swept += len(rows)
        found = vectors(rows)
        self.use.add(found.containers, found.lengths)
        is_marked = self._marked.holds(found.prefixes)
        dead = [row for row, is_kept in zip(rows, is_marked.tolist(), strict=True) if not is_kept]
        self._used_keys.update(found.keys[is_marked].tolist())
        for at in range(0, max(len(dead), 1), DROPPED_AT_ONCE):
            self._sort_leases()
            yield dead[at : at + DROPPED_AT_ONCE]

    def _are_needed(self, ids: Sequence[bytes]) -> list[bool]:
        """W. Marked since they were looked at, or leased; asked while they count as missing, so that a lease that is
        taken from now on finds them gone. They ascend.
        """
        wanted = vector_of(prefixes(b"".join(ids)))
        needed = self._marked.holds(wanted)
        for run_id, lease in self.vault.leases.of_keyring(self.keyring_id).items():
            held = self._prefixes_of(run_id, lease)
            if lease.is_of_all:  # asked after its ids were taken, which it may have lost meanwhile
                self.held_by = LEASES_FULL
                return len(ids) * [True]
            needed |= held.holds(wanted)
        found: list[bool] = needed.tolist()
        return found

    def _sort_leases(self) -> None:
        """So that the write thread sorts in only what was leased since."""
        for run_id, lease in self.vault.leases.of_keyring(self.keyring_id).items():
            self._prefixes_of(run_id, lease).settle()

    def _prefixes_of(self, run_id: bytes, lease: Lease) -> PrefixSet:
        held, known, count = self._leased.get(run_id, (lease, PrefixSet(), 0))
        if held is not lease:
            known, count = PrefixSet(), 0
        pieces = lease.pieces[count:]
        if pieces:
            known.add(b"".join(pieces))
        self._leased[run_id] = lease, known, count + len(pieces)
        return known
