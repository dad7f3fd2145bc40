"""A history in which mark, commits, undelete, moves and sweep come between each other, and what of it was answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.vaultd.operations.collected_site import Collected, nothing
from tests.vaultd.operations.kept_job import DAY_SECONDS
from tests.vaultd.operations.killed_vault import Acknowledged
from vaultd.operations import held_safesets
from vaultd.operations.held_safesets import Named

# Three of them fill a container of 64 KiB.
CHUNK_BYTES = 20_000


class Story:
    """A safeset stands from when its commit was answered until what ends it is asked for; chunks have names of one
    letter.
    """

    def __init__(self, one: Collected) -> None:
        self.one = one
        self.acknowledged = Acknowledged()
        self.chunks = {name: one.chunk(name.encode() * CHUNK_BYTES) for name in "abcdefghijk"}
        self._provisional: set[int] = set()

    def begin_here(self) -> None:
        """Safesets 1 to 4, of which the first is purged and the second deleted; a run that goes on was told that a dead
        chunk is there.
        """
        for names in ("abgh", "bcd", "ce", "ef"):
            self._run(names)
        self._purge(1)
        self._delete(2)
        self._begin()
        self._offer("a")

    def go_on(self) -> None:
        self._beside(
            self._collection(), lambda: self._offer("i"), lambda: self._commit("ai", complete=False), nothing,
            lambda: self._undelete(2), lambda: self._commit("ai"), self._end, lambda: self._run("bj"),
        )  # fmt: skip
        self._purge(3)
        self._begin()
        self._offer("h")  # which was dropped, and comes anew
        self._beside(
            self._move(), lambda: self._offer("g"), lambda: self._commit("h"), self._end, lambda: self._delete(4),
            lambda: self._undelete(4), lambda: self._run("dk"),
        )  # fmt: skip
        moves = self._move()
        self._beside(self._collection(), *(lambda: next(moves, None) for _ in range(6)))
        for _ in moves:
            pass

    def _beside(self, work: Iterator[None], *actions: Callable[[], object]) -> None:
        """One of the actions after each piece of the work, which goes on for longer than they."""
        for action in actions:
            assert next(work, self) is None
            action()
        for _ in work:
            pass

    def _collection(self) -> Iterator[None]:
        collection = self.one.collection()
        collection.begin()
        return self.one.in_pieces(collection)

    def _move(self) -> Iterator[None]:
        self.acknowledged.is_moving = True
        yield from self.one.move()
        self.acknowledged.is_moving = False

    def _begin(self) -> None:
        self.one.site.clock.advance(DAY_SECONDS)
        self.one.begin()

    def _offer(self, names: str) -> None:
        """What is missing is sent."""
        ids = [self.chunks[name] for name in names]
        missing = {id_ for id_, is_missing in zip(ids, self.one.offer(*ids), strict=True) if is_missing}
        self.acknowledged.told |= set(ids) - missing
        self.one.send(*missing)
        self.acknowledged.told |= missing

    def _commit(self, names: str, *, complete: bool = True) -> None:
        self.acknowledged.standing -= self._provisional
        number = self.one.commit(*(self.chunks[name] for name in names), complete=complete, sent=())
        self.acknowledged.standing.add(number)
        self._provisional = set() if complete else {number}

    def _end(self) -> None:
        self.acknowledged.told.clear()
        self.one.site.end(self.one.job)

    def _run(self, names: str) -> None:
        self._begin()
        self._offer(names)
        self._commit(names)
        self._end()

    def _delete(self, number: int) -> None:
        self.acknowledged.standing.discard(number)
        self.one.delete(number)

    def _undelete(self, number: int) -> None:
        held_safesets.undelete(self.one.site.vault, self.one.owner, Named(self.one.name, "home", number), "needed")
        self.acknowledged.standing.add(number)

    def _purge(self, number: int) -> None:
        self._delete(number)
        self.one.site.clock.advance(8 * DAY_SECONDS)
        self.one.keep_house()
        self.acknowledged.purged.add(number)
