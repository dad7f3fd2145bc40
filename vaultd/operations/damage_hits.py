"""What the damage that an offline check finds hits: each fault with the jobs and safesets that use its records.

A safeset's lists of what it uses (companions) are not sealed, so that the vault knows without keys. Where such a list
is damaged too, every safeset below it may use what the other faults of its keyring hit, and is named as that.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from vaultd.errors import VaultError
from vaultd.operations.disk_hits import DiskPlaces, HitWalk
from vaultd.operations.root_format import parse_root
from vaultd.operations.tree_walk import Records, locate_each
from vaultd.records import Job, Safeset
from vaultd.store.check.faults import Fault, Faults
from vaultd.store.errors import StoreError
from vaultd.store.findings import Finding
from vaultd.store.index_rows import Location

MISSING_MAX = 1_000  # records without any row of the index that are named one by one
JOBS_MAX = 20  # of one fault are named
UNKNOWN = "; which safesets use it is not known"


class FaultPlaces:
    """By which fault a record is hit. One that the index does not have is one itself, unless it may lie on a disk."""

    def __init__(self, faults: Faults, disks: DiskPlaces, records: Records, index_place: str) -> None:
        self._faults = faults
        self._names_missing = not records.lacks_rows and not disks.of(None, b"")
        self._index_place = index_place
        self._missing = 0
        self._more: Fault | None = None

    def of(self, location: Location | None, id_: bytes) -> Collection[bytes]:
        fault = self._faults.of(location, id_)
        if fault is None and location is None and self._names_missing:
            fault = self._of_missing(id_)
        return () if fault is None else (fault.key,)

    @property
    def knows_all(self) -> bool:
        """Whether everything that safesets use has a place."""
        return self._names_missing and not self._missing

    def _of_missing(self, id_: bytes) -> Fault:
        if self._missing >= MISSING_MAX:
            sentence = f"more than {MISSING_MAX:,} records are missing: the others are not told one by one"
            self._more = self._more or self._faults.nowhere(self._index_place, sentence)
            return self._more
        self._missing += 1
        fault = self._faults.nowhere(self._index_place, f"record {id_.hex()} is missing: no row leads to it")
        self._faults.know(id_, fault)
        return fault


@dataclass(slots=True)
class _Job:
    """Of one job: the safesets that are meant, as stretches of their numbers, and its keyring, also as in the index."""

    place: str
    keyring_id: bytes
    keyring_number: int | None
    stretches: list[list[int]] = field(default_factory=list)

    def add(self, number: int) -> None:
        if self.stretches and self.stretches[-1][1] == number - 1:
            self.stretches[-1][1] = number
        else:
            self.stretches.append([number, number])

    def has(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.stretches)

    def without(self, other: "_Job | None") -> "_Job":
        left = _Job(self.place, self.keyring_id, self.keyring_number)
        for first, last in self.stretches:
            for number in range(first, last + 1):
                if other is None or not other.has(number):
                    left.add(number)
        return left

    @property
    def text(self) -> str:
        spans = [str(first) if first == last else f"{first}-{last}" for first, last in self.stretches]
        is_one = len(spans) == 1 and spans[0].isdigit()
        return f"{self.place}, safeset{'' if is_one else 's'} {', '.join(spans)}"


class DamageHits:
    """For the safesets of one job after another; `conclude` when all of them were looked at.

    Without an index, so without records, each safeset may use what was stored under its keyring.
    """

    def __init__(self, faults: Faults, looked_up: tuple[FaultPlaces, Records] | None) -> None:
        self.is_complete = False
        self._faults = faults
        self._looked_up = looked_up
        self._walk: HitWalk | None = None
        self._job_id = b""
        self._replaced: set[bytes] = set()  # keys of faults
        self._hit: dict[bytes, dict[bytes, _Job]] = {}  # by fault and job
        self._cut: dict[bytes, _Job] = {}  # by job: the safesets whose lists cannot be read to their end

    def run(self, place: str, job: Job, safeset: Safeset) -> None:
        """`place` names the job."""
        keyring_id = parse_root(safeset.root).keyring_id
        if self._looked_up is None:
            self._cut.setdefault(job.job_id, _Job(place, keyring_id, None)).add(safeset.sequence)
            return
        places, records = self._looked_up
        if self._walk is None or job.job_id != self._job_id:
            self._walk, self._job_id = HitWalk(records, places), job.job_id
        (location,) = locate_each(records, keyring_id, [safeset.payload_id])
        number = None if location is None else location.keyring_number
        for key in self._walk.run(safeset):
            jobs = self._hit.setdefault(key, {})
            jobs.setdefault(job.job_id, _Job(place, keyring_id, number)).add(safeset.sequence)
        if self._walk.is_cut:
            self._cut.setdefault(job.job_id, _Job(place, keyring_id, number)).add(safeset.sequence)

    def names(self, keyring_id: bytes, id_: bytes) -> bool:
        """Whether a fault names this record."""
        if self._looked_up is None:
            return False
        places, records = self._looked_up
        (location,) = locate_each(records, keyring_id, [id_])
        return bool(places.of(location, id_))

    def findings(self) -> Iterator[Finding]:
        for fault in self._faults:
            is_replaced = fault.key in self._replaced
            yield fault.replaced() if is_replaced else fault.finding(self._used_by(fault))

    def conclude(self) -> None:
        """Index and containers are read here, and not in `findings`."""
        self.is_complete = True
        self._replaced = {fault.key for fault in self._faults if self._is_replaced(fault)}

    def _is_replaced(self, fault: Fault) -> bool:
        """Whether each record that lay there was sent again since. The other copies are read now, all of them."""
        if not (fault.may_be_replaced and self._looked_up):
            return False
        _, records = self._looked_up
        return all(self._is_whole(records, keyring_id, id_) for keyring_id, id_ in fault.there)

    def _is_whole(self, records: Records, keyring_id: bytes, id_: bytes) -> bool:
        (location,) = locate_each(records, keyring_id, [id_])
        if location is None or any(records.missing(keyring_id, [id_])):
            return False
        try:
            records.read(location, id_)
        except (StoreError, VaultError, OSError):
            return False
        return True

    def _used_by(self, fault: Fault) -> str:
        hit = self._hit.get(fault.key, {})
        maybe = [job.without(hit.get(job_id)) for job_id, job in self._cut.items() if _may_hit(fault, job)]
        maybe = [job for job in maybe if job.stretches]
        used = f"; used by {_text(list(hit.values()))}" if hit else ""
        if maybe:
            used += f"; may be used by {_text(maybe)}: what they use cannot be looked up to its end"
        if not self.is_complete:
            used += f"{UNKNOWN} beyond that" if used else UNKNOWN
        if not used and not fault.records and self._looked_up and not self._looked_up[0].knows_all:
            return "; which records lay there is not known: they may be among those that are missing"
        return used or "; no safeset uses it"


def _may_hit(fault: Fault, job: _Job) -> bool:
    """Records of another keyring are never used."""
    if fault.keyring_numbers and job.keyring_number is not None:
        return job.keyring_number in fault.keyring_numbers
    return not fault.keyring_id or fault.keyring_id == job.keyring_id


def _text(jobs: list[_Job]) -> str:
    named = "; ".join(job.text for job in jobs[:JOBS_MAX])
    more = len(jobs) - JOBS_MAX
    return f"{named}; and {more:,} more jobs" if more > 0 else named
