"""Of which history a copy of the journal is: what it holds, held against a position or against another copy.

Threads: any; nothing here is kept.
"""

from pathlib import Path

from vaultd.store.journal.format import Segment, decode_segment_header, entries_anywhere
from vaultd.store.position import Position


def is_other_history(data: bytes, segment: Segment, path: Path) -> bool:
    """Whether a copy follows another entry, or holds another one in the place of one that the segment has."""
    if data == segment.data:
        return False
    header = decode_segment_header(data, path)
    if header and header.previous != segment.header.previous:
        return True
    known = {entry.position.hash for entry in segment.entries}
    return any(
        segment.header.first <= entry.position.number <= segment.end.number and entry.position.hash not in known
        for entry in entries_anywhere(data)
    )


def reaches(segment: Segment, position: Position) -> bool:
    return segment.header.first - 1 <= position.number <= segment.end.number


def holds(segment: Segment, position: Position) -> bool:
    if not reaches(segment, position):
        return False
    if position.number == segment.header.first - 1:
        return segment.header.previous == position.hash
    return segment.entries[position.number - segment.header.first].position.hash == position.hash
