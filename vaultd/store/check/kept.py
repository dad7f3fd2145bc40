"""What a start kept beside containers and journal, told by the offline check until an operator moves it away.

Nothing that this journal acknowledges is in these files. A warning where they hold a start back, or may be all that is
left of another journal; else a note, which changes no exit code.
"""

from collections.abc import Iterator
from pathlib import Path

from vaultd.store.containers.files import list_kept
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.findings import Finding, Severity
from vaultd.store.journal.kept import FORKED, UNREAD, list_kept_segments

_UNACKNOWLEDGED = (
    "kept here, which the journal does not acknowledge, so that no safeset needs them: if journal or index came back "
    "from an older copy, bring the newest journal back first; else move the file away: until then every start keeps "
    "what it would cut"
)
_FORKED = (
    "of another history of the journal, kept here; nothing of the history that won depends on them: restore what is "
    "needed from a copy of that disk, then move the file away: until then no start cuts or removes anything"
)
_UNREAD = (
    "of a copy of the journal that the disk refused to read, kept here; a whole copy took its place, so that nothing "
    "depends on them: move the file away when the disk was replaced"
)


def kept_findings(door: Door, disks: Disks) -> Iterator[Finding]:
    for disk in disks.online:
        for path in list_kept(door, disk):
            yield _finding(door, path, Severity.warning, _UNACKNOWLEDGED)
    for path in list_kept_segments(door, disks.copy_directories("journal")):
        if FORKED in path.name:
            yield _finding(door, path, Severity.warning, _FORKED)
        elif UNREAD in path.name:
            yield _finding(door, path, Severity.note, _UNREAD)
        else:
            yield _finding(door, path, Severity.warning, _UNACKNOWLEDGED)


def _finding(door: Door, path: Path, severity: Severity, what: str) -> Finding:
    return Finding(severity, str(path), f"{door.size(path)} bytes {what}")
