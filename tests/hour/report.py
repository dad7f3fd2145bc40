"""What came of the hour: the goals, whether they were reached, a table for people and the raw figures for a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tests.hour.computer import Deeds

HOUR_SECONDS = 3600
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Goals:
    collections: int
    chunks: int
    containers: int


OF_AN_HOUR = Goals(collections=20, chunks=100_000, containers=50)
OF_LESS = Goals(1, 1, 1)


@dataclass(slots=True)
class Counted:
    """One count of the same: by the answers to who asked for collections, by the metrics, or as the journal has it (and
    the log the collections).
    """

    collections: int
    records: int
    containers: int


@dataclass(slots=True)
class Restored:
    """What was restored and compared, at the end or meanwhile; the lists name safesets and paths."""

    safesets: int = 0
    provisional: int = 0
    files: int = 0
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, other: Restored) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def shortcomings(self) -> list[str]:
        named = (
            ("missing", self.missing),
            ("different", self.different),
            ("in a restore and never in the source", self.extra),
            ("failed", self.failed),
        )
        return [f"{what}: {path}" for what, paths in named for path in _first(paths)]


@dataclass(slots=True)
class Report:
    """`chunks` were counted in the journal; `unread` are drops of which the kind could not be seen."""

    agents: int
    seconds: float
    answered: Counted
    metered: Counted
    journaled: Counted
    chunks: int
    unread: int
    live: int  # safesets, as the vault listed them
    deeds: list[Deeds]
    restored: Restored
    meanwhile: Restored  # restores beside the collections
    findings: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)  # collections
    left: list[str] = field(default_factory=list)  # collections that left a keyring as it is, and why
    purged: int = 0
    unexpected: list[str] = field(default_factory=list)

    @property
    def goals(self) -> Goals:
        return OF_AN_HOUR if self.seconds >= HOUR_SECONDS else OF_LESS

    @property
    def whole_collections(self) -> int:
        """Finished, and no keyring was left as it is."""
        return min(self.answered.collections, self.metered.collections) - len(self.left)

    def shortcomings(self) -> list[str]:
        """Empty where the hour was passed."""
        restored = self.restored
        found = [*restored.shortcomings(), *self.meanwhile.shortcomings()]
        found += [*_first(self.findings), *_first(self.unfinished), *_first(self.unexpected)]
        found += _first([one for deeds in self.deeds for one in deeds.unexpected])
        if restored.safesets != self.live or not self.live:
            found.append(f"{restored.safesets} of {self.live} live safesets were compared")
        return found + self._too_few() + self._disagreements()

    def _too_few(self) -> list[str]:
        reached = (
            ("finished collections", self.whole_collections, self.goals.collections),
            ("dropped chunks", self.chunks, self.goals.chunks),
            ("moved containers", min(self.journaled.containers, self.metered.containers), self.goals.containers),
        )
        return [f"{count:,} {what}, the goal is {goal:,}" for what, count, goal in reached if count < goal]

    def _disagreements(self) -> list[str]:
        """A count that is not what the others say counts nothing."""
        found = []
        for what in ("collections", "records", "containers"):
            counts = [getattr(self.answered, what), getattr(self.metered, what), getattr(self.journaled, what)]
            if len(set(counts)) > 1:
                found.append(f"{what}: answers, metrics and disk say {', '.join(f'{count:,}' for count in counts)}")
        if self.unread:
            found.append(f"{self.unread:,} dropped records could not be looked at")
        return found

    def text(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {value}" for name, value in rows)

    def rows(self) -> list[tuple[str, str]]:
        restored, compared = self.restored, f"{self.restored.safesets:,} of {self.live:,}"
        return [
            ("agents, seconds", f"{self.agents}, {self.seconds:,.0f}"),
            ("runs, of them killed", f"{self._sum('runs'):,}, {self._sum('killed'):,}"),
            ("safesets deleted, brought back, pinned", self._decided()),
            ("safesets purged", f"{self.purged:,}"),
            ("finished collections, others that left a keyring", f"{self.whole_collections:,}, {len(self.left):,}"),
            ("chunks dropped", f"{self.chunks:,}"),
            ("containers moved", f"{self.metered.containers:,}"),
            ("live safesets compared, of them provisional", f"{compared}, {restored.provisional:,}"),
            ("files compared", f"{restored.files:,}"),
            ("restored meanwhile, of them provisional", f"{self.meanwhile.safesets:,}, {self.meanwhile.provisional:,}"),
            ("missing", f"{len(restored.missing) + len(self.meanwhile.missing):,}"),
            ("different", f"{len(restored.different) + len(self.meanwhile.different):,}"),
            ("findings of the check", f"{len(self.findings):,}"),
        ]

    def _decided(self) -> str:
        return ", ".join(f"{self._sum(what):,}" for what in ("deleted", "undeleted", "pinned"))

    def _sum(self, what: str) -> int:
        return sum(getattr(deeds, what) for deeds in self.deeds)

    def samples(self) -> list[dict[str, Any]]:
        return [{"case": "hour", "goals": asdict(self.goals)} | asdict(self)]


def _first(sentences: list[str]) -> list[str]:
    more = [f"and {len(sentences) - _SHOWN:,} more like this"] if len(sentences) > _SHOWN else []
    return [*sentences[:_SHOWN], *more]
