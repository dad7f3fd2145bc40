"""Decides for each entry what to do with what is already at its place, before anything is fetched for it."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum, StrEnum
from io import FileIO
from pathlib import Path

from blake3 import blake3

from tools.agent.file_kinds import KINDS
from tools.agent.restore.metadata import Rights, has_access, has_attributes, has_metadata, owner_of
from tools.agent.restore.target import InTheWay, Target, status_of
from tools.agent.restore.temporary_name import remove_temporary
from tools.agent.restore.unfinished import is_unfinished
from tools.agent.system.attributes import place_of
from tools.agent.system.holes import find_layout
from tools.client.manifest import Entry, Extra, Kind

_READ_BYTES = 1024 * 1024


class Overwrite(StrEnum):
    never = "never"
    newer = "newer"
    changed = "changed"
    always = "always"


class Decision(Enum):
    write = 1
    leave = 2  # what is there is what would be written
    exists = 3  # something else is there and stays
    in_the_way = 4  # a link or another kind stands where a directory should be, or the other way round
    other_metadata = 5  # the same content is there, with another owner, mode or time, and stays
    newer = 6  # something else is there that is not older, and stays


class Survey:
    """For one thread at a time; looks, and changes nothing but what a restore that was killed has left."""

    def __init__(self, root: Path, overwrite: Overwrite, hash_key: bytes, rights: Rights) -> None:
        self._target = Target(root)
        self._rights = rights
        self._overwrite = overwrite
        self._hash_key = hash_key
        self._missing: bytes | None = None
        self._last = Decision.leave

    def decide(self, entries: list[Entry]) -> list[Decision]:
        """For an entry that only goes on with another the same again."""
        decisions = []
        for entry in entries:
            if not entry.is_continuation:
                self._last = self._decide_guarded(entry)
            decisions.append(self._last)
        return decisions

    def clear_above(self, entries: list[Entry]) -> None:
        """For directories above what is asked for, before anything is written below them."""
        for entry in entries:
            with suppress(OSError):  # which is told with what is below it
                directory = self._target.find(entry.path)
                if directory is not None and is_left_above(entry, directory):
                    remove_temporary(directory)

    def close(self) -> None:
        self._target.close()

    def _decide_guarded(self, entry: Entry) -> Decision:
        """A place that cannot be looked at, as with a name too long for this system: the writer tells of it."""
        try:
            return self._decide(entry)
        except OSError:
            return Decision.write

    def _decide(self, entry: Entry) -> Decision:
        parent, _, name = entry.path.rpartition(b"/")
        if not name or (self._missing is not None and (parent + b"/").startswith(self._missing)):
            return Decision.write
        try:
            directory = self._target.find(parent)
        except InTheWay:
            return Decision.in_the_way
        if directory is None:
            self._missing = parent + b"/"
            return Decision.write
        status = status_of(name, directory)
        if status is None:
            return Decision.write
        if (entry.kind == Kind.DIRECTORY) != stat.S_ISDIR(status.st_mode):
            return Decision.in_the_way
        if entry.kind == Kind.DIRECTORY:
            self._clear(entry)
            return Decision.write  # the writer looks at it again, before it writes anything in it
        return self._RULES[self._overwrite](self, entry, status, name, directory)

    def _clear(self, entry: Entry) -> None:
        """Before anything in it is looked at: what has such a name in the safeset comes again."""
        directory = self._target.find(entry.path)
        if directory is not None and is_own(entry, directory, self._overwrite):
            remove_temporary(directory)

    def _never(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> Decision:
        if not self._is_same(entry, status, name, directory):
            return Decision.exists
        return self._leave(entry, status, name, directory)

    def _newer(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> Decision:
        if entry.mtime_ns > status.st_mtime_ns:
            return Decision.write
        if _has_size_and_time(entry, status):
            return Decision.leave if has_metadata(status, entry, self._rights) else Decision.other_metadata
        is_it = entry.kind != Kind.FILE and has_metadata(status, entry, self._rights)
        return Decision.leave if is_it and self._is_same(entry, status, name, directory) else Decision.newer

    def _changed(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> Decision:
        if not _has_size_and_time(entry, status):
            return Decision.write
        return self._leave(entry, status, name, directory)

    def _leave(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> Decision:
        """Its content is the same. Whatever is restored without its rights is as it should be without them."""
        is_same = has_metadata(status, entry, self._rights) and has_attributes(
            place_of(directory, name, entry.path), entry, self._rights
        )
        return Decision.leave if is_same else Decision.other_metadata

    def _always(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> Decision:
        return Decision.write

    _RULES: dict[Overwrite, Callable[["Survey", Entry, os.stat_result, bytes, int], Decision]] = {
        Overwrite.never: _never,
        Overwrite.newer: _newer,
        Overwrite.changed: _changed,
        Overwrite.always: _always,
    }

    def _is_same(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> bool:
        """By content: what is there already needs no warning."""
        try:
            if entry.kind == Kind.SYMBOLIC_LINK:
                is_link = stat.S_ISLNK(status.st_mode)
                return is_link and os.fsencode(os.readlink(name, dir_fd=directory)) == (entry.extras or {}).get(
                    Extra.LINK_TARGET
                )
            if entry.kind != Kind.FILE:
                return _is_same_node(entry, status)
            if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
                return False
            return self._hash_of(name, directory, entry) == entry.hash
        except OSError:
            return False

    def _hash_of(self, name: bytes, directory: int, entry: Entry) -> bytes | None:
        """Of its content without the entry's holes, in which there must be nothing; None where there is no more."""
        hasher = blake3(key=self._hash_key)
        holes = (entry.extras or {}).get(Extra.HOLES, [])
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        with os.fdopen(descriptor, "rb", buffering=0) as handle:
            at = 0
            for offset, length in [*zip(holes[::2], holes[1::2], strict=True), (entry.size, 0)]:
                for piece in _pieces(handle, offset - at):
                    hasher.update(piece)
                at = offset + length
                if length and not _is_empty(handle, offset, length):
                    return b""
        return hasher.digest() if entry.hash is not None else None


def _is_same_node(entry: Entry, status: os.stat_result) -> bool:
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    if kind in (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE):
        numbers = [os.major(status.st_rdev), os.minor(status.st_rdev)]
        return kind == entry.kind and (entry.extras or {}).get(Extra.DEVICE) == numbers
    return kind == entry.kind and kind in (Kind.FIFO, Kind.SOCKET)


def _pieces(handle: FileIO, length: int) -> Iterator[bytes]:
    while length > 0 and (piece := handle.read(min(length, _READ_BYTES))):
        length -= len(piece)
        yield piece


def _is_empty(handle: FileIO, offset: int, length: int) -> bool:
    """What is no hole any more may still be zero bytes. A hole of terabytes is not read."""
    for at, data_bytes in find_layout(handle.fileno(), offset + length, begin=offset).data:
        handle.seek(at)
        if any(any(piece) for piece in _pieces(handle, data_bytes)):
            return False
    handle.seek(offset + length)
    return True


def _has_size_and_time(entry: Entry, status: os.stat_result) -> bool:
    """Only of files: what has both counts as the same content."""
    is_file = entry.kind == Kind.FILE and stat.S_ISREG(status.st_mode)
    return is_file and (entry.size, entry.mtime_ns) == (status.st_size, status.st_mtime_ns)


def decide_directory(entry: Entry, directory: int, overwrite: Overwrite) -> Decision:
    """For one that is there: `write` sets its metadata, again where it is right and what comes into it changes it."""
    status = os.fstat(directory)
    if overwrite in (Overwrite.changed, Overwrite.always) or has_metadata(status, entry, Rights()):
        return Decision.write
    if is_own(entry, directory, overwrite):
        return Decision.write
    if overwrite is Overwrite.never:
        return Decision.other_metadata
    if entry.mtime_ns > status.st_mtime_ns:
        return Decision.write
    return Decision.leave if has_access(status, entry, Rights()) else Decision.other_metadata


def is_own(entry: Entry, directory: int, overwrite: Overwrite) -> bool:
    """Whether a restore that was killed has left it unfinished. Whose mark counts matters for `never` alone: others can
    make their directory older for `newer`, and the other rules set its metadata whatever they are.
    """
    return is_unfinished(directory, owner_of(entry)[0] if overwrite is Overwrite.never else None)


def is_left_above(entry: Entry, directory: int) -> bool:
    """The same for one that is not asked for, which no rule changes otherwise."""
    return is_unfinished(directory, owner_of(entry)[0])
