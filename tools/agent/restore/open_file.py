"""A file that is being restored: whole and compared before it gets its name."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from blake3 import blake3

from tools.agent.restore.metadata import Rights, apply_metadata
from tools.agent.restore.place import NO_LINKS, create, named_copy, place, place_nameless
from tools.agent.restore.survey import Overwrite
from tools.client.manifest import Entry, Extra
from tools.client.record_format import IntegrityError

_CLOSED = -1


class OpenFile:
    __slots__ = (
        "_at", "_hole", "_holes", "descriptor", "directory", "entry", "hasher", "name", "own_bytes", "status",
        "temporary", "written_bytes",
    )  # fmt: skip

    def __init__(self, entry: Entry, directory: int, hash_key: bytes) -> None:
        self.entry = entry
        self.directory = directory
        self.name = entry.path.rpartition(b"/")[2]
        self.descriptor, self.temporary = create(directory)
        self.hasher: Any = blake3(key=hash_key)
        self.written_bytes = 0
        self.status: os.stat_result | None = None
        holes = (entry.extras or {}).get(Extra.HOLES, [])
        self.own_bytes = entry.size - sum(holes[1::2])
        self._holes: Iterator[tuple[int, int]] = zip(holes[::2], holes[1::2], strict=True)
        self._hole = next(self._holes, None)
        self._at = 0

    def write(self, content: memoryview) -> None:
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

    def is_whole(self) -> bool:
        entry = self.entry
        return self.written_bytes == self.own_bytes and (
            self.hasher.digest() == entry.hash if self.own_bytes else entry.hash is None
        )

    def keep(self, overwrite: Overwrite, rights: Rights) -> list[str]:
        """What of its metadata was not set."""
        if self.own_bytes != self.entry.size:
            os.ftruncate(self.descriptor, self.entry.size)
        codes = apply_metadata(self.descriptor, self.entry, rights)
        if self.temporary is None:
            try:
                place_nameless(self.descriptor, self.name, self.directory, overwrite)
            except OSError as error:
                if error.errno not in (*NO_LINKS, errno.ENOENT):  # ENOENT: there is no /proc
                    raise
                nameless = self.descriptor
                self.descriptor, self.temporary = named_copy(nameless, self.directory)
                os.close(nameless)
                codes = apply_metadata(self.descriptor, self.entry, rights)
        self.status = os.fstat(self.descriptor)
        self._close()  # which may tell of lost writes: before it gets its name, where it has another one
        if self.temporary is not None:
            place(self.temporary, self.name, self.directory, overwrite)
        return codes

    def discard(self) -> None:
        with suppress(OSError):
            self._close()
        if self.temporary is not None:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=self.directory)

    def _close(self) -> None:
        if self.descriptor != _CLOSED:
            descriptor, self.descriptor = self.descriptor, _CLOSED
            os.close(descriptor)
