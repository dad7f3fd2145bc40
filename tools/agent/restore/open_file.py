"""A file that is being restored: whole and compared before it gets its name."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from typing import Any

from blake3 import blake3

from tools.agent.restore.metadata import Rights, apply_metadata, complete_metadata
from tools.agent.restore.place import NO_LINKS, create, named_copy, place, place_nameless
from tools.agent.restore.survey import Overwrite
from tools.agent.restore.target import OpenDirectory
from tools.agent.safeset.window import Part
from tools.client.manifest import Entry, Extra
from tools.client.record_format import IntegrityError

_CLOSED = -1
_RIGHTS, _OWN_RIGHTS = 0o777, 0o600


class OpenFile:
    """Parts are added, and written when somebody says so: then it is opened. For one thread after another. `codes` say
    what of its metadata was not set, once it has its name; `error`: why it has none.
    """

    __slots__ = (
        "_at", "_hole", "_holes", "_parts", "added_bytes", "codes", "descriptor", "directory", "entry", "error",
        "hasher", "own_bytes", "status", "temporary", "written_bytes",
    )  # fmt: skip

    def __init__(self, entry: Entry, directory: OpenDirectory, hash_key: bytes) -> None:
        self.entry = entry
        self.directory = directory
        self.descriptor = _CLOSED
        self.temporary: bytes | None = None
        self.hasher: Any = blake3(key=hash_key)
        self.added_bytes = 0
        self.written_bytes = 0
        self.status: os.stat_result | None = None
        self.codes: list[str] | None = None
        self.error: Exception | None = None
        self._parts: list[Part] = []
        holes = (entry.extras or {}).get(Extra.HOLES, [])
        self.own_bytes = entry.size - sum(holes[1::2])
        self._holes: Iterator[tuple[int, int]] = zip(holes[::2], holes[1::2], strict=True)
        self._hole = next(self._holes, None)
        self._at = 0

    def add(self, part: Part) -> None:
        """Its chunk stays in memory until it is written."""
        self._parts.append(part)
        self.added_bytes += part.length

    def write(self) -> None:
        """What was added. IntegrityError where it is not there, or not what the manifest says."""
        if self.descriptor == _CLOSED:
            mode = self.entry.mode & _RIGHTS | _OWN_RIGHTS
            self.descriptor, self.temporary = create(self.directory.descriptor, mode)
        for part in self._parts:
            self._write(_content_of(part))
        self._parts.clear()
        self.added_bytes = 0

    def finish(self, overwrite: Overwrite, rights: Rights) -> None:
        """Whole, compared, and under its name; else it says why not, and nothing of it stays, in memory neither."""
        try:
            self.write()
            if not self._is_whole():
                raise IntegrityError("the content is not what the manifest says")
            self.codes = self._keep(overwrite, rights)
        except (IntegrityError, OSError) as error:
            self.error = error.with_traceback(None)  # its frames hold content, and this file
        finally:
            if self.codes is None:
                self.discard()

    def _write(self, content: memoryview) -> None:
        self.hasher.update(content)
        self.written_bytes += len(content)
        if self.written_bytes > self.own_bytes:
            raise IntegrityError("the content is longer than the manifest says")
        while content:
            written = os.pwrite(self.descriptor, content[: self._room(len(content))], self._at)
            content = content[written:]
            self._at += written

    def _room(self, length: int) -> int:
        """How much may be written before the next hole, behind those that begin here."""
        while self._hole is not None and self._hole[0] == self._at:
            self._at += self._hole[1]
            self._hole = next(self._holes, None)
        return length if self._hole is None else min(length, self._hole[0] - self._at)

    def _is_whole(self) -> bool:
        entry = self.entry
        return self.written_bytes == self.own_bytes and (
            self.hasher.digest() == entry.hash if self.own_bytes else entry.hash is None
        )

    def _keep(self, overwrite: Overwrite, rights: Rights) -> list[str]:
        """What of its metadata was not set."""
        name, directory = self.entry.path.rpartition(b"/")[2], self.directory.descriptor
        if self.own_bytes != self.entry.size:
            os.ftruncate(self.descriptor, self.entry.size)
        if self.temporary is not None:
            codes = apply_metadata(self.descriptor, self.entry, rights)
        else:
            codes = complete_metadata(self.descriptor, self.entry, rights)
            try:
                place_nameless(self.descriptor, name, directory, overwrite)
            except OSError as error:
                if error.errno not in (*NO_LINKS, errno.ENOENT):  # ENOENT: there is no /proc
                    raise
                nameless = self.descriptor
                self.descriptor, self.temporary = named_copy(nameless, directory)
                os.close(nameless)
                codes = apply_metadata(self.descriptor, self.entry, rights)
        if Extra.LINK_SET in (self.entry.extras or {}):
            self.status = os.fstat(self.descriptor)
        self._close()  # which may tell of lost writes: before it gets its name, where it has another one
        if self.temporary is not None:
            place(self.temporary, name, directory, overwrite)
        return codes

    def discard(self) -> None:
        self._parts.clear()
        with suppress(OSError):
            self._close()
        if self.temporary is not None:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=self.directory.descriptor)

    def _close(self) -> None:
        if self.descriptor != _CLOSED:
            descriptor, self.descriptor = self.descriptor, _CLOSED
            os.close(descriptor)


def _content_of(part: Part) -> memoryview:
    content = part.slot.content
    if isinstance(content, IntegrityError):
        raise copy(content)  # else the slot would hold the frames that this passes, and they the whole window
    if content is None or part.offset + part.length > len(content):
        raise IntegrityError("an extent goes beyond the end of its chunk")
    return memoryview(content)[part.offset : part.offset + part.length]
