"""What the vault has acknowledged of a run that goes on, so that the next one goes on with it where it is broken off.

A file of frames with a length and a checksum, only appended to while a run goes on. Rows are written as the manifest
gets them and count only below a later mark, which says that everything before it was acknowledged. Nothing is synced:
what a power cut takes is read once more. Where it cannot be written the run goes on without: `failure` says why.

Threads: one that feeds the manifest and one that marks may write at once.
"""

import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tools.agent.cache.belonging import Belonging
from tools.agent.cache.cached_row import CachedRow
from tools.agent.upload.sent_counts import SentCounts

_VERSION = 1
_HEAD, _RUN, _ROWS, _EXTENTS, _MARK, _SENT = range(6)
_FRAME = struct.Struct("<II")
_FRAME_BYTES_MAX = 64 * 1024 * 1024
# Of the rows of one frame: what is read at once by whoever goes on with the run.
_ROWS_BYTES = 1024 * 1024
_ROWS_MAX = 1024
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW = "-new"


class ResumableRun(NamedTuple):
    """The run that the journal is of, and the safeset that it builds on, if any."""

    run_id: bytes
    base: bytes | None


class ExtentsPart(NamedTuple):
    """A further part of the extents of a row that follows."""

    key: bytes
    number: int
    extents: bytes


_NO_RUN = ResumableRun(b"", None)

Piece = list[CachedRow] | ExtentsPart


class RunJournal:
    """`has_rows`: whether anything was acknowledged when the journal was opened; `was_left`: whether a run that did not
    end in order left it there, whatever it says; `end` is where the file ends,
    `rows_end` where the last rows that were written since end. `sent` is how much of this run the vault had
    acknowledged by then, or a little less: what came after the last mark is not counted.
    """

    def __init__(self, path: Path, belonging: Belonging) -> None:
        self.run: ResumableRun | None = None
        self.failure: OSError | None = None
        self.end = 0
        self.rows_end = 0
        self.has_rows = self.was_left = False
        self.sent = SentCounts()
        self._path = path
        self._head = [_HEAD, _VERSION, *belonging.columns()]
        self._descriptor = -1
        self._writing = threading.Lock()
        try:
            self._open()
        except OSError as error:
            self._give_up(error)

    def begin(self, run: ResumableRun) -> None:
        """What is written from now on is of this run; what is there already stays."""
        if self.run is None or run.run_id != self.run.run_id:
            self.sent = SentCounts()
        if run != self.run:
            self._append([_RUN, *run])
            self.run = run

    def end_run(self) -> None:
        """The vault was told that the run is over: another one goes on with what was acknowledged."""
        self._append([_RUN, *_NO_RUN])
        self.run = None
        self.sent = SentCounts()

    def add_rows(self, rows: Sequence[CachedRow]) -> None:
        part: list[CachedRow] = []
        part_bytes = 0
        for row in rows:
            part.append(row)
            part_bytes += len(row.extents) + len(row.extras or b"")
            if part_bytes >= _ROWS_BYTES or len(part) == _ROWS_MAX:
                self._append([_ROWS, part])
                part, part_bytes = [], 0
        if part:
            self._append([_ROWS, part])
        self.rows_end = self.end

    def add_extents(self, key: bytes, number: int, extents: bytes) -> None:
        """Before the row whose extents they go on with."""
        self._append([_EXTENTS, key, number, extents])

    def acknowledge(self, end: int, sent: SentCounts) -> None:
        """Everything before this place of the file is durable at the vault; so much of the run was sent."""
        self._append([_MARK, end])
        self._append([_SENT, *astuple(sent)])

    def pieces(self) -> Iterator[Piece]:
        """What was acknowledged when the journal was opened, in the order in which it came: a later row of a path
        takes the place of an earlier one."""
        for kind, *values in self._frames(self._acknowledged):
            if kind == _ROWS:
                yield [CachedRow._make(row) for row in values[0]]
            elif kind == _EXTENTS:
                yield ExtentsPart(*values)

    def remove(self) -> None:
        """The run is over, and its safeset has everything."""
        self.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._path.with_name(self._path.name + _NEW).unlink(missing_ok=True)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._descriptor = os.open(self._path, _FLAGS, 0o600)
        self.was_left = os.fstat(self._descriptor).st_size > 0
        self._acknowledged = self._find_acknowledged()
        if not self._acknowledged:
            os.ftruncate(self._descriptor, 0)
            self._append(self._head)
        elif self._is_ahead:
            self._leave_rest()
        else:
            os.ftruncate(self._descriptor, self._place)
            self.end = os.lseek(self._descriptor, self._place, os.SEEK_SET)

    def _leave_rest(self) -> None:
        """A later mark must not count rows that nobody acknowledged. Marks lie behind these, so both are there until a
        file without these rows takes the place of this one.
        """
        new_path = self._path.with_name(self._path.name + _NEW)
        new = os.open(new_path, _FLAGS | os.O_TRUNC, 0o600)
        try:
            for start in range(0, self._acknowledged, _ROWS_BYTES):
                length = min(_ROWS_BYTES, self._acknowledged - start)
                _write_all(new, os.pread(self._descriptor, length, start))
            for values in (
                [_RUN, *(self.run or _NO_RUN)], [_MARK, self._acknowledged], [_SENT, *astuple(self.sent)]
            ):  # fmt: skip
                _write_all(new, _frame(values))
            self.end = os.lseek(new, 0, os.SEEK_CUR)
            os.replace(new_path, self._path)
        except OSError:
            os.close(new)
            with suppress(OSError):
                new_path.unlink()
            raise
        os.close(self._descriptor)
        self._descriptor = new

    def _find_acknowledged(self) -> int:
        """How far the file counts; 0 where it is of other keys, another job or another version. `_is_ahead`: whether
        rows, or parts of some, come after that.
        """
        acknowledged = last_rows = 0
        first_rows: int | None = None
        run: ResumableRun | None = None
        for kind, *values in self._frames(os.fstat(self._descriptor).st_size):
            if not acknowledged:
                if [kind, *values] != self._head:
                    return 0
                acknowledged = self._place
            elif kind == _RUN:
                if run is None or run.run_id != values[0]:
                    self.sent = SentCounts()
                run = ResumableRun(*values)
            elif kind == _SENT:
                self.sent = SentCounts(*values)
            elif kind in (_ROWS, _EXTENTS):
                last_rows = self._place
                if kind == _ROWS and first_rows is None:
                    first_rows = self._place
            elif kind == _MARK:
                acknowledged = max(acknowledged, min(values[0], self._place))
        self.has_rows = first_rows is not None and first_rows <= acknowledged
        self.run = run if run and run.run_id else None
        self._is_ahead = last_rows > acknowledged
        return acknowledged

    def _frames(self, end: int) -> Iterator[list[Any]]:
        """Up to the first that is not whole; `_place` is where the one that is answered ends."""
        self._place = 0
        while self._place + _FRAME.size <= end:
            length, checksum = _FRAME.unpack(os.pread(self._descriptor, _FRAME.size, self._place))
            begin = self._place + _FRAME.size
            if length > _FRAME_BYTES_MAX or begin + length > end:
                return
            payload = os.pread(self._descriptor, length, begin)
            if len(payload) != length or zlib.crc32(payload) != checksum:
                return
            try:
                values = msgspec.msgpack.decode(payload, type=list[Any])
            except msgspec.DecodeError:  # zero bytes, which a power cut leaves of what was not written
                return
            self._place = begin + length
            yield values

    def _append(self, values: list[Any]) -> None:
        if self.failure is not None:
            return
        frame = _frame(values)
        with self._writing:
            try:
                _write_all(self._descriptor, frame)
            except OSError as error:
                self._give_up(error)
            else:
                self.end += len(frame)

    def _give_up(self, error: OSError) -> None:
        """What was acknowledged stays for the next run; a half frame at the end counts for nothing."""
        self.failure = error


def _frame(values: list[Any]) -> bytes:
    payload = msgspec.msgpack.encode(values)
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
