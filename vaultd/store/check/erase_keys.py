"""Checks every copy of every erase key."""

from collections.abc import Iterator
from pathlib import Path

from vaultd.store.disk_door import Door, read_file
from vaultd.store.disks.disk_set import Disks
from vaultd.store.erase_keys.erase_keys import COPIES_DIFFER, DIRECTORY
from vaultd.store.erase_keys.file import check_key, is_erased
from vaultd.store.findings import Finding, Severity


class EraseKeyCheck:
    def __init__(self, door: Door, disks: Disks) -> None:
        self.keys = 0
        self.findings: list[Finding] = []
        self._door = door
        self._disks = disks

    def run(self) -> None:
        copies: dict[str, list[Path]] = {}
        for path in self._files():
            copies.setdefault(path.name.partition(".")[0], []).append(path)
        self.keys = len(copies)
        for owner, paths in copies.items():
            self._check_copies(owner, paths)

    def _check_copies(self, owner: str, paths: list[Path]) -> None:
        good: dict[Path, bytes] = {}
        faults: dict[Path, str] = {}
        for path in paths:
            try:
                data = read_file(self._door, path)
                fault = check_key(data, owner)
            except OSError as error:
                fault = f"the disk cannot be read: {error}"
            if fault:
                faults[path] = fault
            else:
                good[path] = data
        self._tell(faults, has_good=bool(good))
        if not good:
            self._report(Severity.damage, paths[0], "no copy of this erase key holds")
        elif any(map(is_erased, good.values())):
            for path in [path for path, data in good.items() if not is_erased(data)]:
                self._report(Severity.warning, path, "this erase key was erased for ever, and a copy is still here")
        elif len(set(good.values())) > 1:
            self._report(Severity.damage, paths[0], COPIES_DIFFER)
        elif self._disks.is_any_away:
            return
        elif len(good) == 1 and not faults:
            self._report(Severity.warning, paths[0], "the other copy of this erase key is missing; this one holds")
        elif len(good) > 1 and len({path.parent for path in good}) < len(self._disks.copy_directories(DIRECTORY)):
            self._report(Severity.warning, paths[0], "every good copy of this erase key lies on one disk")

    def _tell(self, faults: dict[Path, str], *, has_good: bool) -> None:
        for path, fault in faults.items():
            self._report(Severity.warning, path, f"{fault}; the other copy holds" if has_good else fault)

    def _files(self) -> Iterator[Path]:
        disks = self._disks
        for directory in disks.copy_directories(DIRECTORY) + disks.other_directories(DIRECTORY):
            for name in self._door.listdir(directory):
                if name.endswith((".key", ".key2")):
                    yield directory / name

    def _report(self, severity: Severity, place: Path, sentence: str) -> None:
        self.findings.append(Finding(severity, str(place), sentence))
