"""What happens beyond 44 safesets of a job: chosen by an account, and confirmed for older safesets."""

import msgspec

from vaultd.catalog.accounts import read_account, update_account
from vaultd.catalog.database import View
from vaultd.catalog.limit_changes import read_limit_change, remove_limit_change, save_limit_change
from vaultd.errors import Conflict, Internal
from vaultd.operations import clock_doubt, ledger
from vaultd.operations.auditing import audited
from vaultd.operations.vault import Vault
from vaultd.policy.retention import ALL_LIMITED, OverLimit
from vaultd.policy.retention_terms import CONFIRM_AFTER_NS, may_confirm
from vaultd.records import Account, Identity, LimitChange


class LimitSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`confirm_ns`: from when on a limit that came back can be confirmed for older safesets; 0 where nothing waits."""

    over_limit: str
    confirm_ns: int


def set_limit(vault: Vault, identity: Identity, over_limit: OverLimit) -> LimitSummary:
    """W. A limit that comes back ends what is stored from then on; older safesets when it is confirmed."""
    account_id, is_back = identity.account_id, over_limit is OverLimit.EXPIRE
    with vault.catalog.read() as view:
        account = _account(view, account_id)
        if account.over_limit == over_limit:
            return summarise_limit(view, account_id)
        audit = audited(vault, view, identity, "retention.limit", over_limit.value)
    now_ns = clock_doubt.certain_ns(vault)
    change = save_limit_change(account_id, LimitChange(now_ns)) if is_back else remove_limit_change(account_id)
    changed = msgspec.structs.replace(account, over_limit=over_limit.value)
    ledger.record(vault, [*update_account(changed), *change, *audit])
    return LimitSummary(over_limit=over_limit.value, confirm_ns=now_ns + CONFIRM_AFTER_NS if is_back else 0)


def confirm_limit(vault: Vault, identity: Identity) -> LimitSummary:
    """W. The limit holds for older safesets too from now on."""
    now_ns = clock_doubt.certain_ns(vault)
    with vault.catalog.read() as view:
        account = _account(view, identity.account_id)
        change = read_limit_change(view, identity.account_id)
        if change is None:
            raise Conflict("no change of the limit waits to be confirmed")
        if not may_confirm(change.set_ns, now_ns):
            raise Conflict(
                "the limit can be confirmed seven days after it was set",
                "`vaultctl retention list` shows the time; until then older safesets are kept as before",
            )
        audit = audited(vault, view, identity, "retention.confirm_limit", account.over_limit)
    ledger.record(vault, [*remove_limit_change(identity.account_id), *audit])
    return LimitSummary(over_limit=account.over_limit, confirm_ns=0)


def limited_from(view: View, account_id: bytes) -> int | None:
    """Of what is stored after which time 44 are kept; None where the account pays for more."""
    if _account(view, account_id).over_limit == OverLimit.KEEP:
        return None
    change = read_limit_change(view, account_id)
    return ALL_LIMITED if change is None else change.set_ns


def summarise_limit(view: View, account_id: bytes) -> LimitSummary:
    change = read_limit_change(view, account_id)
    return LimitSummary(
        over_limit=_account(view, account_id).over_limit,
        confirm_ns=0 if change is None else change.set_ns + CONFIRM_AFTER_NS,
    )


def _account(view: View, account_id: bytes) -> Account:
    account = read_account(view, account_id)
    if account is None:
        raise Internal(f"account {account_id.hex()} is not in the catalog")
    return account
