"""What a running vault dropped and moved, counted from its journal and containers by this alone."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from tests.independent.reader import container, journal, record
from tests.independent.reader.hashing import plain, unpack

_SUFFIX = ".journal"
_HASH_BYTES = 32
# docs/format.md: kinds of entries, and what a drop names: id, container, offset.
GROUP, DROP, CONTAINER_MOVED = 1, 10, 11
DROPPED = struct.Struct("<32sQI")
_TYPE_AT = 6


class JournalTally:
    """`chunks`: of the dropped records those that hold data. Each container is held open until it was moved, so that a
    record can be looked at that lies in a file which is gone.
    """

    def __init__(self, disks: list[Path]) -> None:
        self.dropped = self.chunks = self.unread = 0
        self.moved: set[int] = set()
        self._disks = disks
        self._segment = 1
        self._position = journal.SEGMENT.size
        self._open: dict[int, int] = {}

    def refresh(self) -> None:
        while True:
            self._rest_of_segment()
            names = (int(path.stem, 16) for path in self._directory.glob(f"*{_SUFFIX}"))
            later = sorted(number for number in names if number > self._segment)
            if not later:
                return
            # What came between the look at the end of the segment and its end.
            self._rest_of_segment()
            self._segment, self._position = later[0], journal.SEGMENT.size

    def close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    @property
    def _directory(self) -> Path:
        return self._disks[0] / "journal"

    def _rest_of_segment(self) -> None:
        with (self._directory / f"{self._segment:016x}{_SUFFIX}").open("rb") as file:
            file.seek(self._position)
            raw = file.read()
        at = 0
        while at + journal.ENTRY.size <= len(raw):
            _, length, kind, *_ = journal.ENTRY.unpack_from(raw, at)
            whole = raw[at : at + length]
            if len(whole) < length or plain(whole[:-_HASH_BYTES]) != whole[-_HASH_BYTES:]:
                break  # it is being written
            if kind in (GROUP, DROP, CONTAINER_MOVED):
                payload = unpack(whole[journal.ENTRY.size : -_HASH_BYTES], "an entry of the journal")
                self._take(kind, payload["details"])
            at += length
        self._position += at

    def _take(self, kind: int, details: dict[str, Any]) -> None:
        if kind == GROUP:
            for number, *_ in details["containers"]:
                self._hold(number)
        elif kind == DROP:
            for _, number, offset in DROPPED.iter_unpack(details["records"]):
                self._take_dropped(number, offset)
        else:
            self.moved.add(details["number"])
            if (descriptor := self._open.pop(details["number"], None)) is not None:
                os.close(descriptor)

    def _take_dropped(self, number: int, offset: int) -> None:
        self.dropped += 1
        if number not in self._open:
            self.unread += 1
            return
        head = os.pread(self._open[number], record.HEADER.size, offset)
        self.chunks += head[:4] == record.MAGIC_SEALED and head[_TYPE_AT] == record.DATA

    def _hold(self, number: int) -> None:
        if number in self._open:
            return
        for path in (disk / container.relative_path(number) for disk in self._disks):
            try:
                self._open[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            return
