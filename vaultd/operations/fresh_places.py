"""Directories in which a vault is made: where the making fails, what was made goes and what is another's stays.

What is new in a directory since it was looked at may be of another vault that is made at the same time. So only names
of the vault's own go, and only where the id file beside them is of the vault that was made here.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vaultd.operations.places import CATALOG_DIRECTORY, FILES, INDEX_DIRECTORY, VAULT_ID_FILE
from vaultd.store.disk_door import UNFINISHED_SUFFIX
from vaultd.store.disks.identity import IDENTITY_NAME, decode_identity
from vaultd.store.disks.opening import DIRECTORIES
from vaultd.store.errors import StoreError


class FreshPlaces:
    """Looks at directories, which may be missing, before anything is made in them."""

    def __init__(self, directory: Path, disks: Sequence[Path], vault_id: bytes) -> None:
        self._directory = directory
        self._disks = disks
        self._vault_id = vault_id
        places = [directory, *disks]
        self._there = {place: set(os.listdir(place)) for place in places if place.is_dir()}
        self._missing = {path for place in places for path in (place, *place.parents) if not path.exists()}

    def remove_made(self) -> None:
        """As far as that can be done: the failure that led here is the one to tell of. Each id file goes last."""
        for disk in self._disks:
            self._remove_disk(disk)
        id_file = self._directory / VAULT_ID_FILE
        with suppress(OSError):
            if id_file.read_bytes().strip() == self._vault_id.hex().encode():
                self._remove(self._directory, [*FILES, INDEX_DIRECTORY, CATALOG_DIRECTORY], VAULT_ID_FILE)
        # The deepest first; one that somebody else has put something into meanwhile stays.
        for path in sorted(self._missing, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()

    def _remove_disk(self, disk: Path) -> None:
        unfinished = IDENTITY_NAME + UNFINISHED_SUFFIX
        if self._is_ours(disk / unfinished):
            self._remove(disk, [], unfinished)
        if self._is_ours(disk / IDENTITY_NAME):
            self._remove(disk, DIRECTORIES, IDENTITY_NAME)
        elif not os.path.lexists(disk / IDENTITY_NAME):
            # It comes last, so nothing is in them yet, or they are another's.
            for name in set(DIRECTORIES) - self._there.get(disk, set()):
                with suppress(OSError):
                    (disk / name).rmdir()

    def _is_ours(self, identity: Path) -> bool:
        try:
            return decode_identity(identity.read_bytes(), identity.parent)[1] == self._vault_id
        except (OSError, StoreError):
            return False

    def _remove(self, place: Path, names: Sequence[str], last: str) -> None:
        for name in dict.fromkeys([*(name for name in names if name != last), last]):
            if name not in self._there.get(place, set()):
                _remove(place / name)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
