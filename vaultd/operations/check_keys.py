"""The offline check's trial of run keys that were given up. The disk with a good copy of an erase key may have come
back, and where the computer is gone no run takes the key back. Nothing is written.
"""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from blake3 import blake3

from vaultd.catalog.database import Catalog, View
from vaultd.catalog.keyrings import find_run_key
from vaultd.errors import VaultError
from vaultd.operations.runs import KEY_ID_BYTES
from vaultd.operations.wrapping import RUN_KEY, run_key_owners
from vaultd.store.check.check import KeyName
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.errors import StoreError


class KeyTrial:
    """Without a catalog that can be read no key opens: it has the sealed ones."""

    def __init__(self, catalog_path: Path, door: Door, *, is_readable: bool) -> None:
        self._path = catalog_path
        self._door = door
        self._is_readable = is_readable and catalog_path.exists()

    def run(self, disks: Disks, keys: Sequence[KeyName]) -> list[KeyName]:
        """Those that open."""
        found: list[KeyName] = []
        if not (keys and self._is_readable):
            return found
        erase_keys = EraseKeys.on(self._door, disks)
        # What is wrong with the catalog is told when it is checked.
        with suppress(VaultError, StoreError), ExitStack() as cleanup:
            catalog = Catalog.open_read_only(self._path)
            cleanup.callback(catalog.close)
            view = cleanup.enter_context(catalog.read())
            found += [key for key in keys if _opens(view, erase_keys, key)]
        return found


def _opens(view: View, erase_keys: EraseKeys, key: KeyName) -> bool:
    keyring_id, key_id = key
    try:
        row = find_run_key(view, keyring_id, key_id)
        if row is None:
            return False
        sealed = erase_keys.unwrap(run_key_owners(row.job_id, keyring_id), RUN_KEY, key_id, row.wrapped)
    except (VaultError, StoreError):
        return False
    return bool(blake3(sealed).digest(length=KEY_ID_BYTES) == key_id)
