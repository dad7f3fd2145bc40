"""The store as a run sees it that is about to commit: whatever is looked up is leased to it first.

So what was found there is there until the run ends, whatever is collected meanwhile; and what it leased before is found
there also while a collection asks who needs it, or a good root would be refused and everything read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vaultd.operations.vault import Vault
from vaultd.store.index_rows import Location


@dataclass(frozen=True, slots=True)
class LeasedRecords:
    vault: Vault
    account_id: bytes
    run_id: bytes

    @property
    def lacks_rows(self) -> bool:
        return self.vault.store.lacks_rows

    def missing(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[bool]:
        self.vault.leases.lease(self.account_id, self.run_id, keyring_id, b"".join(ids))
        return self.vault.store.missing_leased(keyring_id, ids)

    def locate(self, keyring_id: bytes, ids: Sequence[bytes]) -> list[Location | None]:
        self.vault.leases.lease(self.account_id, self.run_id, keyring_id, b"".join(ids))
        return self.vault.store.locate_leased(keyring_id, ids)

    def read(self, location: Location, expected_id: bytes) -> bytes:
        return self.vault.store.read(location, expected_id)
