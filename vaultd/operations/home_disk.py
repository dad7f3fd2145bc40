"""The disk that an account stores on. One that is away keeps it, one that is lost never comes back: the next run of the
account gets another one.
"""

import msgspec

from vaultd.catalog.accounts import read_account, save_account
from vaultd.catalog.database import View
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Change


def emptiest_disk(vault: Vault) -> bytes:
    """The one with the most free space now, of those that can be written to, if any can."""
    with translated():
        disks = vault.store.statistics().disks
    writable = {disk.disk_id for disk in vault.store.disks.writable}
    return max(disks, key=lambda disk: (disk.disk_id in writable, disk.free_bytes)).disk_id


def renewed_home(vault: Vault, view: View, account_id: bytes) -> list[Change]:
    """Nothing where the account's home disk is not lost."""
    account = read_account(view, account_id)
    if account is None or not vault.store.disks.is_given_up(account.home_disk):
        return []
    return save_account(msgspec.structs.replace(account, home_disk=emptiest_disk(vault)))
