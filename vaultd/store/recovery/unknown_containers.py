"""Containers that index and journal do not know, and what they tell: a crash leaves one as a rule, an older copy of the
journal leaves more.

Invariant: only a container that was never acknowledged is removed. Threads: the writer thread only.
"""

from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path

from vaultd.store.containers.files import list_containers, taken_numbers
from vaultd.store.containers.format import BLOCK_BYTES, container_path
from vaultd.store.containers.reader import read_header
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.disks.identity import Disk
from vaultd.store.errors import FormatError
from vaultd.store.findings import Severity
from vaultd.store.index_rows import ContainerRow
from vaultd.store.recovery.leftovers import has_more_than_one_group, is_sealed, keep_container


class UnknownContainers:
    def __init__(self, door: Door, disks: Disks, report: Callable[[Severity, str, str], None]) -> None:
        self._door = door
        self._disks = disks
        self._report = report

    def find(self, rows: dict[int, ContainerRow], moved: Container[int]) -> tuple[list[Path], list[Path]]:
        """Containers that index and journal do not know: those whose number is free, which a crash left as a rule, and
        those whose number was passed. What was `moved` to others is none of them."""
        known = max(rows, default=0)
        unknown, passed = [], []
        for disk in self._disks.online:
            for number, path in self._listed(disk):
                row = rows.get(number)
                if (row and row.disk_id == disk.disk_id) or number in moved:
                    continue
                if row or number <= known:
                    sentence = "journal and index do not know this container; it was left"
                    self._report(Severity.warning, str(path), sentence)
                    passed.append(path)
                else:
                    with suppress(FormatError, OSError):  # torn, as a rule; one of a later version is an error
                        read_header(self._door, path)
                    unknown.append(path)
        return unknown, passed

    def taken_numbers(self) -> set[int]:
        taken: set[int] = set()
        for disk in self._disks.online:
            with suppress(OSError):  # told when its containers were listed
                taken |= taken_numbers(self._door, disk)
        return taken

    def _listed(self, disk: Disk) -> list[tuple[int, Path]]:
        try:
            return list(list_containers(self._door, disk))
        except OSError as error:
            self._report(Severity.damage, str(disk.path), f"its containers cannot be listed: {error}")
            return []

    def is_journal_old(self, unknown: Sequence[Path]) -> bool:
        """A sealed container that it does not know: its disks came back from an older copy, as far as can be told."""
        sealed = [path for path in unknown if is_sealed(self._door, path)]
        for path in sealed:
            sentence = "a sealed container that the journal does not know: its disks may have come from an older copy"
            self._report(Severity.damage, str(path), sentence)
        return bool(sealed)

    def lacks_groups(self, rows: dict[int, ContainerRow], unknown: Sequence[Path]) -> bool:
        """A crash leaves a part of one group at most: where there are more, the first was acknowledged."""
        starts = dict.fromkeys(unknown, BLOCK_BYTES)
        for row in rows.values():
            disk = self._disks.find_id(row.disk_id)
            if disk and not row.is_sealed:
                starts[container_path(disk.path, row.number)] = row.acknowledged_length
        found = [path for path, start in starts.items() if has_more_than_one_group(self._door, path, start)]
        for path in found:
            sentence = "groups of records that the journal does not know: its disks may have come from an older copy"
            self._report(Severity.damage, str(path), sentence)
        return bool(found)

    def remove(self, path: Path, *, is_kept: bool) -> None:
        door = self._door
        if is_kept:
            beside = keep_container(door, path)
            self._report(Severity.warning, str(path), f"the journal does not know it; it was renamed to {beside.name}")
        else:
            door.unlink(path)
            door.fsync_directory(path.parent)
