"""Decides for each entry what to do with what is already at its place, before anything is fetched for it."""

import os
import stat
from collections.abc import Callable
from enum import Enum, StrEnum
from pathlib import Path

from blake3 import blake3

from tools.agent.metadata import has_access, has_metadata
from tools.agent.target import InTheWay, Target, status_of
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


class Survey:
    """For one thread at a time; looks, and changes nothing."""

    def __init__(self, root: Path, overwrite: Overwrite, hash_key: bytes) -> None:
        self._target = Target(root)
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
            return Decision.write  # the writer looks at it again, before it writes anything in it
        return self._RULES[self._overwrite](self, entry, status, name, directory)

    def _never(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> Decision:
        if not self._is_same(entry, status, name, directory):
            return Decision.exists
        is_link = entry.kind == Kind.SYMBOLIC_LINK
        return Decision.leave if is_link or has_metadata(status, entry) else Decision.other_metadata

    def _newer(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> Decision:
        if _has_size_and_time(entry, status) and not has_metadata(status, entry):
            return Decision.other_metadata
        return Decision.write if entry.mtime_ns > status.st_mtime_ns else Decision.leave

    def _changed(self, entry: Entry, status: os.stat_result, name: bytes, directory: int) -> Decision:
        if not _has_size_and_time(entry, status):
            return Decision.write
        return Decision.leave if has_metadata(status, entry) else Decision.other_metadata

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
            if entry.kind != Kind.FILE or not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
                return False
            return entry.hash is None or self._hash_of(name, directory) == entry.hash
        except OSError:
            return False

    def _hash_of(self, name: bytes, directory: int) -> bytes:
        hasher = blake3(key=self._hash_key)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        with os.fdopen(descriptor, "rb", buffering=0) as handle:
            while piece := handle.read(_READ_BYTES):
                hasher.update(piece)
        return hasher.digest()


def _has_size_and_time(entry: Entry, status: os.stat_result) -> bool:
    """Only of files: what has both counts as the same content."""
    is_file = entry.kind == Kind.FILE and stat.S_ISREG(status.st_mode)
    return is_file and (entry.size, entry.mtime_ns) == (status.st_size, status.st_mtime_ns)


def decide_directory(entry: Entry, status: os.stat_result, overwrite: Overwrite) -> Decision:
    """For one that is there: `write` sets its metadata, again where it is right and what comes into it changes it."""
    if overwrite in (Overwrite.changed, Overwrite.always) or has_metadata(status, entry):
        return Decision.write
    if overwrite is Overwrite.never:
        return Decision.other_metadata
    if entry.mtime_ns > status.st_mtime_ns:
        return Decision.write
    return Decision.leave if has_access(status, entry) else Decision.other_metadata
