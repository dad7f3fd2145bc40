"""Moves what is needed out of containers of which much is dead, and removes them."""

from collections.abc import Collection, Iterator, Sequence

from vaultd.logs import log
from vaultd.maintenance.pace import Pace
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.store.housekeeping import Copy, Place
from vaultd.store.index_rows import ContainerRow

# Copied in one call of the write thread.
BATCH_BYTES = 4 * 1024 * 1024
BATCH_RECORDS = 256


class Compaction:
    """Counts what it did."""

    def __init__(self, vault: Vault, pace: Pace, doubted: Collection[bytes] = ()) -> None:
        """`doubted`: keyrings of which the index may lack rows."""
        self.containers_moved = 0
        self.bytes_moved = 0
        self.bytes_given_back = 0
        self._house = vault.store.house
        self._pace = pace
        self._doubted = doubted

    async def resume(self) -> None:
        """What was planned before the start, and files that were to go."""
        rows = await self._pace.walk(self._house.can_move)
        for number in await self._pace.walk(self._house.planned):
            if number in rows:
                await self.move(rows[number])
            else:
                await self._pace.write(self._house.forget_planned, [number])
        await self.remove_files()

    async def move(self, row: ContainerRow) -> None:
        """One that holds damage, or cannot be read, stays."""
        moved = 0
        places = await self._pace.walk(self._needed_of, row)
        for batch in _batches(places or []):
            copies = await self._pace.walk(self._house.copies, batch)
            if copies is None:
                places = None
                break
            moved += await self._pace.write(self._move, row, copies)
        self.bytes_moved += moved
        if places is None or await self._pace.walk(self._needed_of, row) != []:
            await self._pace.write(self._house.forget_planned, [row.number])
            log.warning("container not moved", number=row.number, problem="something in it is damaged or in use")
            return
        await self._pace.write(self._retire, row)
        self.containers_moved += 1
        self.bytes_given_back += row.acknowledged_length - moved
        await self.remove_files()

    async def remove_files(self) -> None:
        if removed := await self._pace.walk(self._house.remove_files):
            await self._pace.write(self._house.forget_files, removed)

    def _needed_of(self, row: ContainerRow) -> list[Place] | None:
        with translated():
            return self._house.needed_of(row, self._doubted)

    def _move(self, row: ContainerRow, copies: Sequence[Copy]) -> int:
        with translated():
            return self._house.move(row, copies)

    def _retire(self, row: ContainerRow) -> None:
        with translated():
            self._house.retire(row)


def _batches(places: Sequence[Place]) -> Iterator[list[Place]]:
    batch: list[Place] = []
    size = 0
    for place in places:
        if batch and (size + place.location.length > BATCH_BYTES or len(batch) == BATCH_RECORDS):
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += place.location.length
    if batch:
        yield batch
