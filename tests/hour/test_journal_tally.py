"""The count of what was dropped and moved, on a journal and a container that are made by hand from docs/format.md."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from blake3 import blake3

from tests.hour.journal_tally import JournalTally

DATA, COMPANION = 1, 3
GROUP, DROP, MOVED = 1, 10, 11
SEGMENT_HEADER_BYTES = 96
FIRST_AT, SECOND_AT = 4096, 4200


def entry(kind: int, **details: Any) -> bytes:
    payload = msgpack.packb({"changes": [], "details": details})
    head = struct.pack("<4sIHHIQq32s", b"SSJ1", 64 + len(payload) + 32, kind, 0, 0, 1, 0, bytes(32))
    return head + payload + blake3(head + payload).digest()


def group(number: int) -> bytes:
    return entry(GROUP, containers=[[number, bytes(16), 8192, b""]])


def drop(number: int, *offsets: int) -> bytes:
    records = b"".join(struct.pack("<32sQI", bytes(32), number, offset) for offset in offsets)
    return entry(DROP, keyring=bytes(16), records=records)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Its container 1 has a record with data and a companion."""
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / f"{1:016x}.journal").write_bytes(bytes(SEGMENT_HEADER_BYTES))
    path = tmp_path / "containers" / "0000" / f"{1:012x}.container"
    path.parent.mkdir(parents=True)
    content = bytearray(8192)
    content[FIRST_AT : FIRST_AT + 7] = b"SSR1" + bytes((1, 1, DATA))
    content[SECOND_AT : SECOND_AT + 7] = b"SSC1" + bytes((1, 1, COMPANION))
    path.write_bytes(content)
    return tmp_path


@pytest.fixture
def tally(disk: Path) -> Iterator[JournalTally]:
    tally = JournalTally([disk])
    yield tally
    tally.close()


def add(disk: Path, *entries: bytes, segment: int = 1) -> None:
    with (disk / "journal" / f"{segment:016x}.journal").open("ab") as file:
        file.write(b"".join(entries))


def test_chunks_are_counted_apart_from_other_records(disk: Path, tally: JournalTally) -> None:
    add(disk, group(1), drop(1, FIRST_AT, SECOND_AT))
    tally.refresh()
    assert (tally.dropped, tally.chunks, tally.unread) == (2, 1, 0)


def test_nothing_is_counted_twice(disk: Path, tally: JournalTally) -> None:
    add(disk, group(1), drop(1, FIRST_AT))
    tally.refresh()
    tally.refresh()
    add(disk, entry(MOVED, number=1, disk=bytes(16)))
    tally.refresh()
    assert (tally.dropped, tally.moved) == (1, {1})


def test_a_record_of_a_file_that_is_gone_is_looked_at(disk: Path, tally: JournalTally) -> None:
    add(disk, group(1))
    tally.refresh()
    (disk / "containers" / "0000" / f"{1:012x}.container").unlink()
    add(disk, drop(1, FIRST_AT), entry(MOVED, number=1, disk=bytes(16)))
    tally.refresh()
    assert (tally.chunks, tally.unread) == (1, 0)


def test_a_record_that_cannot_be_looked_at_is_no_chunk(disk: Path, tally: JournalTally) -> None:
    add(disk, group(2), drop(2, FIRST_AT))
    tally.refresh()
    assert (tally.dropped, tally.chunks, tally.unread) == (1, 0, 1)


def test_an_entry_that_is_being_written_is_counted_when_it_is_whole(disk: Path, tally: JournalTally) -> None:
    whole = drop(1, FIRST_AT)
    add(disk, group(1), whole[:-9])
    tally.refresh()
    assert tally.dropped == 0
    add(disk, whole[-9:])
    tally.refresh()
    assert tally.dropped == 1


def test_the_next_segment_is_counted_too(disk: Path, tally: JournalTally) -> None:
    add(disk, group(1), drop(1, FIRST_AT))
    add(disk, bytes(SEGMENT_HEADER_BYTES), drop(1, SECOND_AT), segment=3)
    tally.refresh()
    assert tally.dropped == 2
