"""One collection: every keyring is marked and swept, then containers of which much is dead are moved.

Loaded when the first one begins, because of the arrays that it works on.
"""

from collections.abc import Iterator, Mapping

import msgspec

from vaultd import metrics, offload
from vaultd.errors import VaultError
from vaultd.logs import log
from vaultd.maintenance.compaction import Compaction
from vaultd.maintenance.pace import Pace
from vaultd.operations.collection import KeyringCollection, end_leases, owner_of_keyring, why_held, why_held_now
from vaultd.operations.collection_book import CollectionState
from vaultd.operations.container_use import ContainerUse
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.store.errors import StoreError
from vaultd.store.index.stored_rows import StoredRow
from vaultd.store.index_rows import ContainerRow

LACKS_ROWS = "something that its safesets use is not in the index: no container with records of it is moved"
ROUNDS_MAX = 1_000


class CollectionPass:
    def __init__(self, vault: Vault, state: CollectionState) -> None:
        self._vault = vault
        self._state = state
        self._pace = Pace(vault.config.collect_percent)
        self._use = ContainerUse()
        self._rounds = 0  # of the barrier, for the keyring that is collected
        self._is_all_counted = True
        self._doubted: set[bytes] = set()  # keyrings of which the index may lack rows

    async def run(self) -> None:
        await offload.write(end_leases, self._vault)
        keyring_ids = await offload.read(self._vault.store.house.keyring_ids)
        records = await offload.read(self._vault.store.house.record_count)
        self._tell(keyrings=len(keyring_ids), records=records)
        held_by = await offload.read(why_held, self._vault)
        for keyring_id in keyring_ids:
            if held_by := held_by or await offload.read(why_held_now, self._vault):
                self._tell(problem=held_by)
                return
            await self._collect(keyring_id)
            self._tell(keyrings_done=self._state.keyrings_done + 1)
        if self._is_all_counted:  # else what is in use would look dead, and be copied
            await self._move()

    async def _collect(self, keyring_id: bytes) -> None:
        self._rounds = 0
        account_id = await offload.read(owner_of_keyring, self._vault, keyring_id)
        one = KeyringCollection(self._vault, account_id, keyring_id, self._use)
        await offload.write(one.begin)
        try:
            await self._mark_and_sweep(one)
        except (VaultError, StoreError) as error:
            if self._vault.store.is_broken:
                raise
            one.held_by = f"{error}"  # the others have their turn
            self._is_all_counted = False
        finally:
            one.end()
        marked = self._state.records_marked + one.records_marked
        self._tell(records_marked=marked)
        if one.held_by or one.lacks_rows:
            self._doubted.add(keyring_id)
        if left := one.held_by or (LACKS_ROWS if one.lacks_rows else ""):
            log.warning("keyring not collected", place=keyring_id.hex(), problem=left)
            self._tell(keyrings_left=self._state.keyrings_left + 1, left=left)

    async def _mark_and_sweep(self, one: KeyringCollection) -> None:
        try:
            await self._pace.walk_all(one.mark())
        except (VaultError, StoreError) as error:  # of one keyring alone, as a row of the catalog that is damaged
            if self._vault.store.is_broken:
                raise
            one.held_by = f"{error}"  # its rows are counted all the same
        swept = self._state.records_swept
        pieces = one.sweep()
        while (rows := await self._pace.walk(_next, pieces)) is not None:
            if rows:
                await self._drop(one, rows)
            self._tell(records_swept=swept + one.records_swept)
        await self._pace.walk_all(one.look_for_missing())
        if self._state.is_trial:
            return
        await self._pace.walk_all(one.look_for_keys())
        while keys := await self._pace.write(one.forget_keys):
            self._tell(keys_dropped=self._state.keys_dropped + keys)

    async def _drop(self, one: KeyringCollection, rows: list[StoredRow]) -> None:
        drop = one.would_drop if self._state.is_trial else one.drop
        while (dropped := await self._pace.write(drop, rows)) is None:
            self._rounds += 1
            if self._rounds > ROUNDS_MAX:
                one.held_by = "safesets come faster than what they use can be marked"
                return
            await self._pace.walk_all(one.pass_barrier())
        records, size = dropped
        self._tell(
            records_dropped=self._state.records_dropped + records, bytes_dropped=self._state.bytes_dropped + size
        )
        if not self._state.is_trial:
            metrics.RECORDS_DROPPED.inc(records)
            metrics.RECORD_BYTES_DROPPED.inc(size)

    async def _move(self) -> None:
        rows = await offload.read(self._vault.store.house.can_move)
        worth = await self._pace.walk(self._worth, rows)
        planned = [number for number in worth if await self._pace.walk(self._can_go, rows[number])]
        self._tell(phase="moving", containers=len(planned))
        if self._state.is_trial:
            return
        await offload.write(self._vault.store.house.plan, planned)
        work = Compaction(self._vault, self._pace, self._doubted)
        for number in planned:
            await work.move(rows[number])
            self._tell(
                containers_moved=work.containers_moved,
                bytes_moved=work.bytes_moved,
                bytes_given_back=work.bytes_given_back,
            )
        await work.remove_files()

    def _worth(self, rows: Mapping[int, ContainerRow]) -> list[int]:
        """The first one copies least for what it gives back."""
        dead = {number: self._use.dead_bytes(row) for number, row in rows.items()}
        return sorted((number for number in rows if self._is_worth(rows[number], dead[number])), key=lambda n: -dead[n])

    def _can_go(self, row: ContainerRow) -> bool:
        with translated():
            return self._vault.store.house.needed_of(row, self._doubted) is not None

    def _is_worth(self, row: ContainerRow, dead_bytes: int) -> bool:
        return dead_bytes * 100 >= row.acknowledged_length * self._vault.config.compact_dead_percent

    def _tell(self, **changes: object) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)
        self._vault.collections.tell(self._state)


def _next(pieces: Iterator[list[StoredRow]]) -> list[StoredRow] | None:
    return next(pieces, None)
