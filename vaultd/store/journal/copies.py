"""The copies of the journal's segments as they are read: an entry is taken from whichever copy holds it.

Threads: any, for reading; `unsure` and `unread` belong to whoever opened the journal.
"""

from collections.abc import Sequence
from pathlib import Path

from vaultd.store.disk_door import Door, read_file
from vaultd.store.errors import StoreError
from vaultd.store.journal.format import Segment, merge_segment, segment_first, segment_name
from vaultd.store.position import Position


class JournalCopies:
    def __init__(self, door: Door, directories: Sequence[Path], vault_id: bytes) -> None:
        self.directories = tuple(directories)
        self.unsure: set[Path] = set()  # copies that could not be synced
        self.unread: set[Path] = set()  # copies that the disk refused to read, once at least
        self._door = door
        self._vault_id = vault_id

    def firsts(self) -> list[int]:
        """The numbers of the segments that are in any of the directories, ascending."""
        names = {name for path in self.directories if self._door.exists(path) for name in self._door.listdir(path)}
        return sorted(first for first in map(segment_first, names) if first is not None)

    def paths(self, first: int) -> list[Path]:
        return [directory / segment_name(first) for directory in self.directories]

    def read(self, path: Path) -> bytes:
        """Nothing where there is none; nothing of one that the disk refuses to read, whatever it may hold."""
        try:
            return read_file(self._door, path)
        except FileNotFoundError:
            return b""
        except OSError:
            self.unread.add(path)
            return b""

    def shortfall(self, path: Path, data: bytes, segment: Segment) -> str:
        """What is wrong with a copy, of these bytes, that lacks something of the segment."""
        if not self._door.exists(path):
            return "is missing"
        if segment.data[: len(data)] == data:
            return f"ends after {len(data)} of {len(segment.data)} bytes"
        return "is damaged"

    def is_alike(self, first: int) -> bool:
        """Whether every copy is there, can be read and has the same bytes."""
        copies = set(map(self.read, self.paths(first)))
        return len(copies) == 1 and copies != {b""}

    def refuse_unread(self, first: int) -> None:
        """For what must not be decided without a copy that is there."""
        for path in self.paths(first):
            if path in self.unread:
                raise StoreError(
                    f"{path} cannot be read, and neither index nor another copy says what it would: "
                    "replace the disk or take it out of `disks`"
                )

    def merge(self, first: int, before: Position | None = None, preferred: int = 0) -> Segment | None:
        """The longest chain after `before`, taken from the preferred copy where copies disagree."""
        paths = self.paths(first)
        copies = [self.read(path) for path in paths[preferred:] + paths[:preferred]]
        return merge_segment(copies, paths[0], before.hash if before else None)

    def checked(self, segment: Segment | None, first: int, before: Position | None) -> Segment:
        """A segment that is whole in itself must also follow the one before it."""
        path = self.paths(first)[0]
        if segment is None:
            self.refuse_unread(first)
            raise StoreError(f"{path} is damaged: no copy has a good header; restore it from another copy")
        if segment.header.vault_id != self._vault_id:
            raise StoreError(f"{path} belongs to vault {segment.header.vault_id.hex()}")
        if before and (first, segment.header.previous) != (before.number + 1, before.hash):
            raise StoreError(
                f"the journal is damaged in every copy before {path}: entry {before.number} is the last good one "
                "there; restore the segment before from another copy"
            )
        return segment
