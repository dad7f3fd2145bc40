"""A frozen job keeps everything: nothing of it expires, is deleted or purged until an administrator says so.

The vault freezes one itself where many runs came that no schedule asked for (`expiry.py`). Who takes a freeze back
says that all is well with what came before: it freezes the job no more.
"""

from vaultd.catalog.freezes import read_freeze, save_freeze
from vaultd.errors import Conflict
from vaultd.operations import ledger
from vaultd.operations.access import named_computer, named_job
from vaultd.operations.auditing import audited
from vaultd.operations.held_safesets import check_reason
from vaultd.operations.vault import Vault
from vaultd.records import Freeze, Identity


def freeze(vault: Vault, identity: Identity, computer: str, name: str, reason: str) -> None:
    """W. One that is frozen gets the new reason."""
    check_reason(reason)
    with vault.catalog.read() as view:
        job = named_job(view, named_computer(view, identity, computer), name)
        audit = audited(vault, view, identity, "job.freeze", f"{computer}/{name}")
    frozen = Freeze(is_on=True, reason=reason, changed_ns=vault.clock.now_ns())
    ledger.record(vault, [*save_freeze(job.account_id, job.job_id, frozen), *audit])


def unfreeze(vault: Vault, identity: Identity, computer: str, name: str) -> None:
    """W."""
    with vault.catalog.read() as view:
        job = named_job(view, named_computer(view, identity, computer), name)
        before = read_freeze(view, job.account_id, job.job_id)
        if before is None or not before.is_on:
            raise Conflict(f"job {job.name!r} is not frozen")
        audit = audited(vault, view, identity, "job.unfreeze", f"{computer}/{name}")
    thawed = Freeze(is_on=False, reason="", changed_ns=vault.clock.now_ns())
    ledger.record(vault, [*save_freeze(job.account_id, job.job_id, thawed), *audit])
