"""Reads all containers again and again, each once in `scrub_days`, or at once where an operator asks for it.

Of each container as much time passes as its share of all bytes is of those days, by the monotonic clock; a restart goes
on with the next container at once. It rests at least as long as it worked, so half of a thread's time is others'. Only
what is read wrongly twice is damage: it counts as missing from then on, and the next run of its job sends it again.
"""

from collections.abc import Callable, Generator

import msgspec
import trio

from vaultd import metrics, offload
from vaultd.catalog.scrub_passes import ScrubPass
from vaultd.errors import VaultError
from vaultd.logs import log
from vaultd.maintenance.damaged_safesets import Failed
from vaultd.operations import scrub
from vaultd.operations.vault import Vault
from vaultd.store.index_rows import ContainerRow
from vaultd.store.scrub import Piece

LOOK_SECONDS = 1
IDLE_SECONDS = 60  # after a start, and where nothing is stored yet, unless an operator asks
AGAIN_SECONDS = 60  # after an error
SAVE_SECONDS = 60
# A container is not read so slowly that no restart comes before its end.
BYTES_PER_SECOND_MIN = 4 * 1024 * 1024
DAMAGES_TOLD_MAX = 100  # of one container
_DAY_SECONDS = 86_400

Pieces = Generator[Piece, None, None]


class ScrubDuty:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._going: ScrubPass | None = None
        self._saved_seconds = self._now_seconds()
        self._rest_until_seconds = self._now_seconds() + IDLE_SECONDS
        self._number = 0  # of the newest pass that is known here

    async def step(self) -> None:
        """One container, the end of a pass, or a short wait where nothing is to be done yet."""
        is_rested = self._rest_until_seconds <= self._now_seconds()
        if self._vault.scrub.asked > self._number or (self._going is None and is_rested):
            await self._take_up()
        elif not is_rested:
            await trio.sleep(min(self._rest_until_seconds - self._now_seconds(), LOOK_SECONDS))
        elif self._going is not None:
            await self._go_on(self._going)

    async def _take_up(self) -> None:
        self._number = self._vault.scrub.asked
        self._going = await offload.write(scrub.take_up, self._vault)
        if self._going is None:
            self._rest_until_seconds = self._now_seconds() + IDLE_SECONDS
        else:
            self._number, self._rest_until_seconds = max(self._number, self._going.number), self._now_seconds()

    async def _go_on(self, going: ScrubPass) -> None:
        row = await offload.read(scrub.next_container, self._vault, going)
        if row is None:
            await self._end(going)
        else:
            await self._scrub(going, row)

    def _is_replaced(self, going: ScrubPass) -> bool:
        return self._vault.scrub.asked > going.number

    async def _end(self, going: ScrubPass) -> None:
        ended = await offload.write(scrub.end, self._vault, going)
        self._going = self._vault.scrub.live = None
        metrics.SCRUB_PASSES.inc()
        metrics.SCRUB_ENDED_SECONDS.set(ended.ended_ns // 1_000_000_000)
        log.info(
            "scrub ended", number=ended.number, containers=ended.containers, bytes=ended.bytes, records=ended.records,
            damages=ended.records_damaged + ended.places_damaged, alarms=ended.alarms, unread=ended.unread,
        )  # fmt: skip

    async def _scrub(self, going: ScrubPass, row: ContainerRow) -> None:
        begin_seconds = self._now_seconds()
        share_seconds = await self._share_seconds(going, row)
        reading = _Container(self._vault, going, row, share_seconds, self._is_replaced)
        going = await reading.run()
        if self._is_replaced(going):
            return
        self._going = self._vault.scrub.live = msgspec.structs.replace(going, next_container=row.number + 1)
        # Before a long pause too: with a restart in each of them it would always be the same container.
        if max(self._now_seconds() - self._saved_seconds, share_seconds) >= SAVE_SECONDS:
            await offload.write(scrub.save, self._vault, self._going)
            self._saved_seconds = self._now_seconds()
        self._rest_until_seconds = begin_seconds + share_seconds

    async def _share_seconds(self, going: ScrubPass, row: ContainerRow) -> float:
        if going.is_asked:
            return 0.0
        share = await offload.read(scrub.share_of, self._vault, row.acknowledged_length)
        return share * self._vault.config.scrub_days * _DAY_SECONDS

    def _now_seconds(self) -> float:
        return self._vault.clock.monotonic_seconds()


class _Container:
    """One container of a pass, read piece by piece."""

    def __init__(
        self,
        vault: Vault,
        going: ScrubPass,
        row: ContainerRow,
        share_seconds: float,
        is_replaced: Callable[[ScrubPass], bool],
    ) -> None:
        self._vault = vault
        self._going = going
        self._row = row
        self._share_seconds = share_seconds
        self._is_replaced = is_replaced
        self._told = 0
        self._place = scrub.place_of(vault, row)

    async def run(self) -> ScrubPass:
        """The pass with what was found, also where another one took its place in the middle."""
        row, open_rows = await offload.write(scrub.open_container, self._vault, self._row.number)
        if row is None:  # moved elsewhere meanwhile
            return self._going
        pieces = scrub.read_container(self._vault, row, open_rows)
        try:
            await self._read(pieces)
        finally:
            pieces.close()
        return self._going

    async def _read(self, pieces: Pieces) -> None:
        while not self._is_replaced(self._going):
            begin_seconds = self._vault.clock.monotonic_seconds()
            try:
                piece = await offload.walk(_next, pieces)
            except FileNotFoundError:
                await self._note_gone()
                return
            except VaultError as error:
                self._leave(f"{error.__cause__ or error}")
                return
            if piece is None:
                self._add(containers=1)
                return
            await self._take(piece)
            await self._pause(piece.size_bytes, self._vault.clock.monotonic_seconds() - begin_seconds)

    async def _pause(self, size_bytes: int, worked_seconds: float) -> None:
        share_seconds = self._share_seconds * size_bytes / max(self._row.acknowledged_length, 1)
        wanted_seconds = min(share_seconds, size_bytes / BYTES_PER_SECOND_MIN)
        await trio.sleep(max(worked_seconds, wanted_seconds - worked_seconds))

    async def _take(self, piece: Piece) -> None:
        if piece.lost or piece.well:
            await offload.write(scrub.note, self._vault, piece)
        self._tell(piece)
        self._add(
            bytes=piece.size_bytes,
            records=piece.records,
            records_damaged=len(piece.lost),
            places_damaged=piece.places,
            records_unused=piece.unused,
            alarms=len(piece.alarms),
        )

    async def _note_gone(self) -> None:
        """One that was moved elsewhere while it was read is no damage, nor is one whose disk went away."""
        found = await offload.write(scrub.note_gone, self._vault, self._row.number)
        if found == "gone":
            self._tell(Piece(places=1, damages=["the container is gone"]))
            self._add(containers=1, places_damaged=1)
        elif found == "away":
            self._leave("it cannot be found: its disk went away")

    def _leave(self, problem: str) -> None:
        """It says nothing about what lies there."""
        self._add(unread=1)
        log.error("container not scrubbed", place=self._place, problem=problem)

    def _tell(self, piece: Piece) -> None:
        metrics.SCRUB_BYTES.inc(piece.size_bytes)
        metrics.SCRUB_DAMAGES.inc(len(piece.lost) + piece.places)
        metrics.SCRUB_ALARMS.inc(len(piece.alarms))
        for sentence in piece.damages:
            self._told += 1
            if self._told <= DAMAGES_TOLD_MAX:
                log.error("damage found", place=self._place, problem=sentence)
        if self._told > DAMAGES_TOLD_MAX >= self._told - len(piece.damages):
            log.error("damage found", place=self._place, problem="more of it is damaged, and not told one by one")
        for sentence in piece.alarms[:DAMAGES_TOLD_MAX]:
            log.error("disk read wrongly", place=self._place, problem=f"{sentence}: look at its hardware")

    def _add(self, **counts: int) -> None:
        more = {name: getattr(self._going, name) + count for name, count in counts.items()}
        self._going = self._vault.scrub.live = msgspec.structs.replace(self._going, **more)


async def scrub_containers(vault: Vault, failed: Failed) -> None:
    """`failed` stops the daemon where the store was; whatever else it meets is told, and tried again."""
    duty = ScrubDuty(vault)
    metrics.SCRUB_ENDED_SECONDS.set(await offload.read(scrub.last_ended_ns, vault) // 1_000_000_000)
    while True:
        try:
            await duty.step()
        except Exception as error:
            log.error("scrub held up", problem=f"{type(error).__name__}: {error.__cause__ or error}")
            await failed(error)
            await trio.sleep(AGAIN_SECONDS)


def _next(pieces: Pieces) -> Piece | None:
    return next(pieces, None)
