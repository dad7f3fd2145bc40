"""What a vault is to keep of one job, as far as whoever uses it knows: its safesets, its runs, and what damage and
distrust made of their chunks. Nothing of the vault is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

DAY_NS = 24 * 3600 * 1_000_000_000
UNDELETE_NS = 7 * DAY_NS
# Of the type that the job has: a safeset expires when it is older than so many days and so many newer ones stand.
DAYS = 3
COPIES = 2


@dataclass
class Kept:
    complete: bool
    run: int
    stored_ns: int
    state: str = "standing"  # then ended, purged
    ended_ns: int = 0
    is_pinned: bool = False


@dataclass
class RunOfJob:
    """`key_id`: of what it seals."""

    key_id: bytes
    begin_ns: int
    end_ns: int = 0  # 0 while it goes on


@dataclass
class VaultModel:
    """`told`: to the run that goes on, that these are there. `hurt`: chunks with damage that nobody has met; of those
    in `damaged` the vault knows it. `distrusted`: keys of runs.
    """

    kept: dict[int, Kept] = field(default_factory=dict)
    runs: list[RunOfJob] = field(default_factory=list)
    told: set[bytes] = field(default_factory=set)
    hurt: set[bytes] = field(default_factory=set)
    damaged: set[bytes] = field(default_factory=set)
    distrusted: set[bytes] = field(default_factory=set)
    was_damaged: bool = False

    # Runs

    @property
    def is_running(self) -> bool:
        return bool(self.runs) and not self.runs[-1].end_ns

    def begin(self, key_id: bytes, now_ns: int) -> None:
        self.runs.append(RunOfJob(key_id, now_ns))

    def end(self, now_ns: int) -> None:
        if self.is_running:
            self.runs[-1].end_ns = now_ns
        self.told.clear()

    def suspect_keys(self, since_ns: int) -> set[bytes]:
        """Of the runs that were not over then, and all later ones."""
        over = 0
        while over < len(self.runs) and 0 < self.runs[over].end_ns < since_ns:
            over += 1
        return {run.key_id for run in self.runs[over:]}

    # Safesets

    def commit(self, number: int, now_ns: int, *, complete: bool) -> None:
        self.kept[number] = Kept(complete, len(self.runs), now_ns)

    def is_replaced(self, number: int) -> bool:
        kept = self.kept[number]
        later = [one for other, one in self.kept.items() if other > number]
        return not kept.complete and any(one.complete or one.run == kept.run for one in later)

    def standing(self) -> list[int]:
        """What can be restored."""
        return [n for n, kept in self.kept.items() if kept.state == "standing" and not self.is_replaced(n)]

    def live(self) -> set[int]:
        """What ended is, as long as somebody can bring it back."""
        return {n for n, kept in self.kept.items() if kept.state != "purged" and not self.is_replaced(n)}

    def complete(self) -> list[int]:
        return [n for n in self.standing() if self.kept[n].complete]

    def deletable(self) -> list[int]:
        return [n for n in self.complete()[:-1] if not self.kept[n].is_pinned]

    def ended(self) -> list[int]:
        return [n for n, kept in self.kept.items() if kept.state == "ended"]

    def delete(self, number: int, now_ns: int) -> None:
        self.kept[number].state, self.kept[number].ended_ns = "ended", now_ns

    def undelete(self, number: int) -> None:
        self.kept[number].state, self.kept[number].is_pinned = "standing", True

    def keep_house(self, now_ns: int) -> None:
        """By the rules of retention."""
        expiring = list(self._expiring(now_ns))
        for number in self.ended():
            if now_ns - self.kept[number].ended_ns >= UNDELETE_NS:
                self.kept[number].state = "purged"
        for number in expiring:
            self.delete(number, now_ns)

    def _expiring(self, now_ns: int) -> Iterator[int]:
        newer = 0
        for number in reversed(self.complete()):
            kept = self.kept[number]
            if kept.is_pinned:
                continue
            if newer >= COPIES and now_ns - kept.stored_ns > DAYS * DAY_NS:
                yield number
            newer += 1

    # Chunks

    def hurts(self, id_: bytes, *, is_met: bool) -> None:
        self.was_damaged = True
        (self.damaged if is_met else self.hurt).add(id_)
        if is_met:
            self.told.discard(id_)

    def meets(self, ids: set[bytes]) -> None:
        """The vault has read these, and says so."""
        met = ids & self.hurt
        self.damaged |= met
        self.hurt -= met
        self.told -= met

    def forgets_damage(self) -> None:
        """Where the index is made anew nobody has read it."""
        self.hurt |= self.damaged
        self.damaged.clear()

    def sends(self, ids: list[bytes]) -> None:
        self.hurt.difference_update(ids)
        self.damaged.difference_update(ids)
