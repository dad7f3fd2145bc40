"""What the offline check asks the catalog about keys: which run keys that were given up open again, and whose erase
keys no mark erases. The disk with a good copy of an erase key may have come back, and where the computer is gone no run
takes the key back. Nothing is written.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from blake3 import blake3

from vaultd.catalog.database import Catalog, View
from vaultd.catalog.keyrings import find_run_key
from vaultd.errors import VaultError
from vaultd.operations.erased_slots import key_owners
from vaultd.operations.runs import KEY_ID_BYTES
from vaultd.operations.wrapping import RUN_KEY, run_key_owners
from vaultd.store.check.check import KeyName
from vaultd.store.disk_door import Door
from vaultd.store.disks.disk_set import Disks
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.erase_keys.file import Owner
from vaultd.store.errors import StoreError


class KeyTrial:
    """Without a catalog that can be read no key opens: it has the sealed ones."""

    def __init__(self, catalog_path: Path, door: Door, *, is_readable: bool) -> None:
        self._path = catalog_path
        self._door = door
        self._is_readable = is_readable and catalog_path.exists()

    def which_open(self, disks: Disks, keys: Sequence[KeyName]) -> list[KeyName]:
        found: list[KeyName] = []
        # What is wrong with the catalog is told when it is checked.
        with suppress(VaultError, StoreError), self._reading() as view:
            if keys and view is not None:
                erase_keys = EraseKeys.on(self._door, disks)
                erase_keys.spare(key_owners(view))
                found += [key for key in keys if _opens(view, erase_keys, key)]
        return found

    def owners_at(self, number: int) -> Collection[Owner] | None:
        """An older catalog lacks what the next start applies: slots that came, or were erased."""
        with suppress(VaultError, StoreError), self._reading() as view:
            if view is not None and view.position().number >= number:
                return key_owners(view)
        return None

    @contextmanager
    def _reading(self) -> Iterator[View | None]:
        if not self._is_readable:
            yield None
            return
        with ExitStack() as cleanup:
            catalog = Catalog.open_read_only(self._path)
            cleanup.callback(catalog.close)
            yield cleanup.enter_context(catalog.read())


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
