"""Checks every copy of every erase key. A mark that one was erased for ever is judged as the next start will: it counts
for nothing where the catalog has the owner.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from vaultd.store.disk_door import Door, read_file
from vaultd.store.disks.disk_set import Disks
from vaultd.store.erase_keys.erase_keys import COPIES_DIFFER, DIRECTORY
from vaultd.store.erase_keys.file import Owner, check_key, decode_key, is_erased
from vaultd.store.findings import Finding, Severity


class EraseKeyCheck:
    def __init__(self, door: Door, disks: Disks, known: Collection[Owner] | None = ()) -> None:
        """`known` are the owners that the next start will find in the catalog; None where nobody can say that now."""
        self.keys = 0
        self.findings: list[Finding] = []
        self._door = door
        self._disks = disks
        self._known = known

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
            self._check_marked(owner, good)
        elif len(set(good.values())) > 1:
            self._report(Severity.damage, paths[0], COPIES_DIFFER)
        elif self._disks.is_any_away:
            return
        elif len(good) == 1 and not faults:
            self._report(Severity.warning, paths[0], "the other copy of this erase key is missing; this one holds")
        elif len(good) > 1 and len({path.parent for path in good}) < len(self._disks.copy_directories(DIRECTORY)):
            self._report(Severity.warning, paths[0], "every good copy of this erase key lies on one disk")

    def _check_marked(self, name: str, good: Mapping[Path, bytes]) -> None:
        keys = {path: data for path, data in good.items() if not is_erased(data)}
        owners = {decode_key(data, bytes.fromhex(name))[0] for data in good.values()}
        spared = [owner for owner in owners if owner in (self._known or ())]
        if spared:
            self._tell_spared(spared[0], next(path for path in good if path not in keys), set(keys.values()))
            return
        sentence = "this erase key was erased for ever, and a copy is still here"
        if self._known is None:
            sentence += "; the next start keeps it only where the vault's history has what it is of"
        for path in keys:
            self._report(Severity.warning, path, sentence)

    def _tell_spared(self, owner: Owner, path: Path, keys: Collection[bytes]) -> None:
        what = f"this mark erases nothing: the vault's history has that {owner.name}"
        if len(keys) == 1:
            fate = "the next start writes the good copy over it; if a password was changed then, change it again"
            self._report(Severity.warning, path, f"{what}, and {fate}")
        else:
            fate = COPIES_DIFFER if keys else "no good copy is here: nothing under it opens"
            self._report(Severity.damage, path, f"{what}; {fate}")

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
