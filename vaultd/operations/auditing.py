"""The audit entry that every administrative act carries along."""

from vaultd.catalog.audit import add_entry
from vaultd.catalog.database import View
from vaultd.operations.vault import Vault
from vaultd.records import AuditEntry, Change, Identity


def audited(vault: Vault, view: View, identity: Identity, action: str, subject: str) -> list[Change]:
    """At most once in one use case: its number is the next free one."""
    actor = f"{identity.role.value} {identity.name}"
    entry = AuditEntry(vault.clock.now_ns(), actor, action, subject)
    return add_entry(view, identity.account_id, entry)
