"""Holds what agents were told against what the vault has. Knows neither the agent's cache nor the vault's index."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from tests.independent.reader.damage import Damage
from tests.independent.reader.store import open_store
from tests.torture.agents import Acknowledged, Record, Sent, Told
from tests.torture.kept_records import KeptRecords

Name = tuple[bytes, bytes]


@dataclass(slots=True)
class Verdict:
    """What must stay empty, and how much was looked at."""

    losses: list[str] = field(default_factory=list)
    resent: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    resent_bytes: int = 0
    acknowledged_records: int = 0
    acknowledged_bytes: int = 0
    sent_bytes: int = 0
    safesets: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.losses or self.resent or self.other)


class Judge:
    """Of one vault; `verdict` may go on from another one."""

    def __init__(self, disks: list[Path], verdict: Verdict) -> None:
        self.verdict = verdict
        self._disks = disks
        self._kept = KeptRecords(disks)
        self._acknowledged: dict[Name, Record] = {}
        self._of_round: dict[Name, Record] = {}
        self._roots: set[bytes] = set()
        self._lost: set[Name] = set()
        self._seen: dict[Path, int] = {}  # events of a run that were taken

    def begin_round(self) -> None:
        self._of_round.clear()

    def look(self, where: str, told: list[Told]) -> None:
        """Everything acknowledged in this round lies in the vault as it was sent."""
        for run in told:
            self._take(where, run)
        self._kept.refresh()
        for name, record in self._of_round.items():
            if name not in self._lost and self._kept.holds(*name) is None:
                self._lost.add(name)
                what = f"record {record.id.hex()[:16]} of {record.length} bytes was acknowledged and is not there"
                self.verdict.losses.append(f"{where}: {what}")

    def look_at_all(self, where: str, directory: Path) -> None:
        """Of a stopped vault: every byte of every disk, every record that was ever acknowledged, every safeset."""
        try:
            store = open_store(directory, self._disks)
        except Damage as error:
            self.verdict.losses.append(f"{where}: {error}")
            return
        for name, record in self._acknowledged.items():
            try:
                found = store.record(*name)
            except Damage as error:
                self.verdict.losses.append(f"{where}: {error}")
                continue
            if blake3(found).digest() not in self._kept.by_name.get(name, {}):
                self.verdict.losses.append(f"{where}: record {record.id.hex()[:16]} came back as another one")
        for raw in self._roots - {root.raw for root in store.found.roots.values()}:
            self.verdict.losses.append(f"{where}: the countersigned root {raw[-16:].hex()} is not there")

    def _take(self, where: str, run: Told) -> None:
        run.read(run.size())
        for event in run.events[self._seen.get(run.path, 0) :]:
            if isinstance(event, Sent):
                self._take_sent(where, event.records)
            elif isinstance(event, Acknowledged):
                self._take_acknowledged(event.records)
            else:
                self._roots.add(event.root)
                self.verdict.safesets += 1
        self._seen[run.path] = len(run.events)

    def _take_sent(self, where: str, records: list[Record]) -> None:
        for record in records:
            self.verdict.sent_bytes += record.length
            if (record.keyring, record.id) in self._acknowledged:
                self.verdict.resent_bytes += record.length
                what = (
                    f"record {record.id.hex()[:16]} of {record.length} bytes was sent again after it was acknowledged"
                )
                self.verdict.resent.append(f"{where}: {what}")

    def _take_acknowledged(self, records: list[Record]) -> None:
        for record in records:
            name = record.keyring, record.id
            self._acknowledged[name] = self._of_round[name] = record
            self.verdict.acknowledged_records += 1
            self.verdict.acknowledged_bytes += record.length
