"""The journal: segments of entries in one hash chain, and what they do to the catalog."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .damage import Damage, require, require_zero
from .hashing import plain, require_checksum, unpack

SEGMENT = struct.Struct("<4sB3s16sI4sQ32sq8s8s")
ENTRY = struct.Struct("<4sIHHIQq32s")
ENTRY_LIMIT_BYTES = 16 * 1024 * 1024
GROUP, CONTAINER_SEALED, CATALOG, SLOT, RUN_KEY, RUN_BEGIN, RUN_END, ROOT, SUPERSEDE = range(1, 10)
DROP, CONTAINER_MOVED = 10, 11
DROPPED = struct.Struct("<32sQI")

Tables = dict[str, dict[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Segment:
    vault: bytes
    timeline: int
    first: int
    previous: bytes
    created: int


@dataclass(frozen=True, slots=True)
class Entry:
    kind: int
    timeline: int
    number: int
    time: int
    previous: bytes
    hash: bytes
    changes: list[Any]
    details: dict[str, Any]


def parse_segment_header(raw: bytes) -> Segment:
    require(len(raw) >= SEGMENT.size, "a journal segment is shorter than its header")
    magic, version, reserved, vault, timeline, reserved2, *rest = SEGMENT.unpack_from(raw)
    first, previous, created, reserved3, _ = rest
    require(magic == b"SSG1", f"{magic!r} is not the magic of a journal segment")
    require_checksum(raw[: SEGMENT.size], 88, "a journal segment")
    require(version == 1, f"journal version {version} is unknown")
    require_zero(reserved + reserved2 + reserved3, "a journal segment header")
    return Segment(vault, timeline, first, previous, created)


def parse_entry(raw: bytes, position: int) -> tuple[Entry, int]:
    """The entry at `position` and the position after it."""
    require(position + ENTRY.size <= len(raw), f"the journal entry at {position} is cut short")
    magic, length, kind, reserved, timeline, number, time, previous = ENTRY.unpack_from(raw, position)
    require(magic == b"SSJ1", f"{magic!r} at {position} is not the magic of a journal entry")
    require(ENTRY.size + 32 <= length <= ENTRY_LIMIT_BYTES, f"the journal entry at {position} has {length} bytes")
    whole = raw[position : position + length]
    require(len(whole) == length, f"the journal entry at {position} is cut short")
    require(plain(whole[:-32]) == whole[-32:], f"the hash of journal entry {number} is wrong")
    require(reserved == 0, f"journal entry {number} has reserved bytes")
    require(GROUP <= kind <= CONTAINER_MOVED, f"journal entry {number} has the unknown kind {kind}")
    payload = unpack(whole[ENTRY.size : -32], f"the payload of journal entry {number}")
    fits = isinstance(payload, dict) and set(payload) == {"changes", "details"}
    require(fits, f"the payload of journal entry {number} is not a map of changes and details")
    entry = Entry(kind, timeline, number, time, previous, whole[-32:], payload["changes"], payload["details"])
    return entry, position + length


def parse_segment(raw: bytes) -> tuple[Segment, list[Entry]]:
    segment = parse_segment_header(raw)
    entries: list[Entry] = []
    position = SEGMENT.size
    while position < len(raw):
        entry, position = parse_entry(raw, position)
        entries.append(entry)
    check_chain(entries, segment.first, segment.previous)
    require(all(e.timeline == segment.timeline for e in entries), "an entry has another timeline than its segment")
    return segment, entries


def check_chain(entries: Iterable[Entry], first: int, previous: bytes) -> None:
    for number, entry in enumerate(entries, first):
        require(entry.number == number, f"journal entry {entry.number} stands where {number} should")
        require(entry.previous == previous, f"journal entry {number} does not follow the entry before it")
        previous = entry.hash


def read_journal(directories: Iterable[Path]) -> list[Entry]:
    """All entries; a segment that is missing or damaged in one directory is taken from the next one."""
    directories = list(directories)
    names = sorted({path.name for directory in directories for path in directory.glob("*.journal")})
    entries: list[Entry] = []
    for name in names:
        segment, found = first_good([directory / name for directory in directories])
        require(name == f"{segment.first:016x}.journal", f"journal segment {name} begins with entry {segment.first}")
        if segment.first == 1:
            require(segment.previous == bytes(32), "the first journal segment follows another entry")
        if entries:
            require(segment.first == entries[-1].number + 1, f"entries are missing before journal segment {name}")
            require(segment.previous == entries[-1].hash, f"journal segment {name} does not follow the one before it")
        entries.extend(found)
    return entries


def first_good(paths: list[Path]) -> tuple[Segment, list[Entry]]:
    failure = Damage(f"there is no journal segment {paths[0].name}")
    for path in paths:
        if not path.exists():
            continue
        try:
            return parse_segment(path.read_bytes())
        except Damage as error:
            failure = Damage(f"{path}: {error}")
    raise failure


def acknowledged_lengths(entries: Sequence[Entry]) -> dict[int, int]:
    """The last length that the journal gives each container."""
    lengths: dict[int, int] = {}
    for entry in entries:
        if entry.kind == GROUP:
            lengths.update({number: length for number, _, length, _ in entry.details["containers"]})
        elif entry.kind == CONTAINER_SEALED:
            lengths[entry.details["number"]] = entry.details["length"]
    for number in moved_containers(entries):
        lengths.pop(number, None)
    return lengths


def moved_containers(entries: Iterable[Entry]) -> set[int]:
    """All that is needed of these lies in others, and their files may be gone."""
    return {entry.details["number"] for entry in entries if entry.kind == CONTAINER_MOVED}


def dropped_places(entries: Iterable[Entry]) -> dict[tuple[int, int], tuple[bytes, bytes]]:
    """Container and offset where records lay that are not used any more -> their keyring and id."""
    return {
        (number, offset): (entry.details["keyring"], record_id)
        for entry in entries
        if entry.kind == DROP
        for record_id, number, offset in DROPPED.iter_unpack(entry.details["records"])
    }


def named_cids(entries: Iterable[Entry]) -> dict[int, list[bytes]]:
    """What the groups say that each container holds, in file order."""
    named: dict[int, list[bytes]] = {}
    for entry in entries:
        if entry.kind != GROUP:
            continue
        numbers = [row[0] for row in entry.details["containers"]]
        require(len(set(numbers)) == len(numbers), f"journal entry {entry.number} names a container twice")
        for number, _, _, cids in entry.details["containers"]:
            require(len(cids) % 32 == 0, f"journal entry {entry.number} has cids of {len(cids)} bytes")
            named.setdefault(number, []).extend(cids[at : at + 32] for at in range(0, len(cids), 32))
    return named


def apply(tables: Tables, entry: Entry) -> None:
    for table, key, value in entry.changes:
        rows = tables.setdefault(table, {})
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
