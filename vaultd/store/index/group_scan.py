"""Holds one group of a container against the journal: which of its records are there, and which are not.

A record counts only where the journal names its cid; nothing else vouches for bytes without a directory. So a bit that
flipped anywhere in a record is a loss that is named, and what only looks like a record is not believed.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from vaultd.store.containers.reader import Gap, ScannedRecord, Stretch, scan
from vaultd.store.disk_door import ReadingDoor
from vaultd.store.index.acknowledged import Group

_LOSSES_MAX = 100  # of one group are named one by one


class Loss(Struct, frozen=True):
    """Something acknowledged that is not there: `cids` are those of the records that it costs, `gap` is where, and
    `record` is what lies there instead, where its header holds.
    """

    sentence: str
    record: ScannedRecord | None = None
    cids: tuple[bytes, ...] = ()
    gap: Gap | None = None


def scan_group(door: ReadingDoor, path: Path, group: Group) -> Iterator[ScannedRecord | Loss]:
    """The records that the journal names, as they lie, then every loss. A shorter file loses what it lacks."""
    missing = dict.fromkeys(group.names())
    gaps: list[tuple[Gap, ScannedRecord | None]] = []
    stretch = Stretch(group.start, min(group.end, door.size(path)))
    for item in scan(door, path, stretch, vouches=missing.__contains__):
        if isinstance(item, Gap):
            gaps.append((item, None))
        elif item.cid in missing:
            del missing[item.cid]
            yield item
        else:
            sentence = f"record {item.header.id.hex()} has another cid"
            gaps.append((Gap(item.offset, item.header.record_length, sentence), item))
    yield from _losses(list(missing), gaps, group)


def _losses(missing: list[bytes], gaps: list[tuple[Gap, ScannedRecord | None]], group: Group) -> Iterator[Loss]:
    """Where there are as many gaps as losses they belong together, one by one. What the disk refuses to read may be
    good: then none is said to be lost before somebody reads it."""
    if any(gap.is_unreadable for gap, _ in gaps):
        for gap, record in gaps[:_LOSSES_MAX]:
            yield Loss(f"damage at offset {gap.offset}, {gap.length} bytes: {gap.sentence}", record, gap=gap)
    elif len(missing) != len(gaps):
        for gap, record in gaps[:_LOSSES_MAX]:
            yield Loss(f"damage at offset {gap.offset}, {gap.length} bytes: {gap.sentence}", record, gap=gap)
        for name in missing[:_LOSSES_MAX]:
            place = f"between offset {group.start} and {group.end}"
            sentence = f"the record with cid {name.hex()}, which the journal names {place}, is damaged or gone"
            yield Loss(sentence, cids=(name,))
    else:
        for name, (gap, record) in zip(missing[:_LOSSES_MAX], gaps, strict=False):
            place = f"at offset {gap.offset}: {gap.sentence}"
            sentence = f"the record with cid {name.hex()}, which the journal names, is damaged {place}"
            yield Loss(sentence, record, (name,), gap)
    more = max(len(missing), len(gaps)) - _LOSSES_MAX
    if more > 0:
        sentence = f"{more} more records between offset {group.start} and {group.end} are damaged or gone"
        yield Loss(sentence, cids=tuple(missing[_LOSSES_MAX:]))
