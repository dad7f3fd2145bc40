"""The copies of the journal's segments as they are read: an entry is taken from whichever copy holds it.

Threads: any, for reading; `unsure` belongs to whoever opened the journal.
"""

from collections.abc import Sequence
from pathlib import Path

from vaultd.store.disk_door import Door, read_file
from vaultd.store.errors import StoreError
from vaultd.store.journal_format import Position, Segment, merge_segment, segment_first, segment_name


class JournalCopies:
    def __init__(self, door: Door, directories: Sequence[Path], vault_id: bytes) -> None:
        self.directories = tuple(directories)
        self.unsure: set[Path] = set()  # copies that could not be synced or read
        self._door = door
        self._vault_id = vault_id

    def firsts(self) -> list[int]:
        """The numbers of the segments that are in any of the directories, ascending."""
        names = {name for path in self.directories if self._door.exists(path) for name in self._door.listdir(path)}
        return sorted(first for first in map(segment_first, names) if first is not None)

    def paths(self, first: int) -> list[Path]:
        return [directory / segment_name(first) for directory in self.directories]

    def read(self, path: Path) -> bytes:
        """Nothing where there is none; a copy that the disk refuses to read is a damaged copy."""
        try:
            return read_file(self._door, path) if self._door.exists(path) else b""
        except OSError:
            self.unsure.add(path)
            return b""

    def merge(self, first: int, before: Position | None = None, preferred: int = 0) -> Segment | None:
        """The longest chain after `before`, taken from the preferred copy where copies disagree."""
        paths = self.paths(first)
        copies = [self.read(path) for path in paths[preferred:] + paths[:preferred]]
        return merge_segment(copies, paths[0], before.hash if before else None)

    def checked(self, segment: Segment | None, first: int, before: Position | None) -> Segment:
        """A segment that is whole in itself must also follow the one before it."""
        path = self.paths(first)[0]
        if segment is None:
            raise StoreError(f"{path} is damaged: no copy has a good header; restore it from another copy")
        if segment.header.vault_id != self._vault_id:
            raise StoreError(f"{path} belongs to vault {segment.header.vault_id.hex()}")
        if before and (first, segment.header.previous) != (before.number + 1, before.hash):
            raise StoreError(
                f"the journal is damaged in every copy before {path}: entry {before.number} is the last good one "
                "there; restore the segment before from another copy"
            )
        return segment
