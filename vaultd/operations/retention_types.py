"""The retention types of an account: set, confirmed for older safesets, listed."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from vaultd.catalog.database import View
from vaultd.catalog.jobs import list_jobs
from vaultd.catalog.retention_types import list_types, read_type, save_type
from vaultd.catalog.rows import name_key
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import clock_doubt, ledger
from vaultd.operations.auditing import audited
from vaultd.operations.names import check_name
from vaultd.operations.retention_limit import LimitSummary, summarise_limit
from vaultd.operations.vault import Vault
from vaultd.policy.retention import COPIES_MAX, DAYS_MAX, DEFAULT_TYPE, EXTRA, TermsOf
from vaultd.policy.retention_terms import CONFIRM_AFTER_NS, Terms, is_shortened, may_confirm, terms_at
from vaultd.records import Identity, RetentionTerms, RetentionType

TYPES_MAX = 32
CHANGES_MAX = 64
# What every account has until it sets something else.
DEFAULTS = {DEFAULT_TYPE: Terms(30, 30), "monthly": Terms(365, 11), EXTRA: Terms(7, 3)}


class RetentionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`set_ns` is 0 for a default. `older_days` and `older_copies` hold for safesets from before a change that waits to
    be confirmed, which is possible from `confirm_ns` on; it is 0 where nothing waits.
    """

    name: str
    days: int
    copies: int
    set_ns: int
    older_days: int
    older_copies: int
    confirm_ns: int


@dataclass(frozen=True, slots=True)
class AccountRetention:
    types: list[RetentionSummary]
    limit: LimitSummary


def set_type(vault: Vault, identity: Identity, name: str, days: int, copies: int) -> RetentionSummary:
    """W. Makes the type, or changes it."""
    check_name(name, "name of the retention type")
    if not 0 <= days <= DAYS_MAX:
        raise BadRequest(f"days must be 0 to {DAYS_MAX}, not {days}")
    if not 0 <= copies <= COPIES_MAX:
        raise BadRequest(f"copies must be 0 to {COPIES_MAX}, not {copies}")
    now_ns = clock_doubt.certain_ns(vault)
    with vault.catalog.read() as view:
        before = find_type(view, identity.account_id, name) or _new_type(view, identity.account_id, name)
        last = before.changes[-1] if before.changes else None
        if last is not None and (last.days, last.copies) == (days, copies):
            return summarise(before)
        changes = (*_needed(before.changes, now_ns), RetentionTerms(days, copies, now_ns))
        if len(changes) > CHANGES_MAX:
            raise Conflict(
                f"retention type {name!r} was changed {CHANGES_MAX} times within a year",
                "confirm the last change, or make another type",
            )
        audit = audited(vault, view, identity, "retention.set", f"{before.name}: {days} days, {copies} copies")
    changed = msgspec.structs.replace(before, changes=changes)
    ledger.record(vault, [*save_type(identity.account_id, changed), *audit])
    return summarise(changed)


def confirm_type(vault: Vault, identity: Identity, name: str) -> RetentionSummary:
    """W. The last change holds for older safesets too from now on."""
    now_ns = clock_doubt.certain_ns(vault)
    with vault.catalog.read() as view:
        before = find_type(view, identity.account_id, name)
        if before is None:
            raise _no_type(name)
        last = before.changes[-1]
        if not is_shortened(before.changes):
            raise Conflict(f"nothing of retention type {before.name!r} waits to be confirmed")
        if not may_confirm(last.set_ns, now_ns):
            raise Conflict(
                f"the change of retention type {before.name!r} can be confirmed seven days after it was made",
                "`vaultctl retention list` shows the time; until then older safesets are kept as before",
            )
        audit = audited(vault, view, identity, "retention.confirm", before.name)
    confirmed = msgspec.structs.replace(last, confirmed_ns=now_ns)
    changed = msgspec.structs.replace(before, changes=(*before.changes[:-1], confirmed))
    ledger.record(vault, [*save_type(identity.account_id, changed), *audit])
    return summarise(changed)


def list_all(vault: Vault, identity: Identity) -> AccountRetention:
    with vault.catalog.read() as view:
        own = {name_key(one.name): one for one in list_types(view, identity.account_id)}
        found = {name_key(name): _default(name) for name in DEFAULTS} | own
        types = sorted((summarise(one) for one in found.values()), key=lambda one: one.name)
        return AccountRetention(types, summarise_limit(view, identity.account_id))


def find_type(view: View, account_id: bytes, name: str) -> RetentionType | None:
    """One that the account set, or a default."""
    own = read_type(view, account_id, name)
    return own if own is not None or name.casefold() not in DEFAULTS else _default(name.casefold())


def require_type(view: View, account_id: bytes, name: str) -> None:
    """For a job that is to carry it; an empty name is the default."""
    if name and find_type(view, account_id, name) is None:
        raise _no_type(name)


def terms_by_type(own: Iterable[RetentionType]) -> TermsOf:
    """What holds in an account that has set these."""
    types = {name: _default(name).changes for name in DEFAULTS}
    types |= {one.name.casefold(): one.changes for one in own}

    def terms_of(type_: str, stored_at_ns: int) -> Terms | None:
        changes = types.get((type_ or DEFAULT_TYPE).casefold())
        return None if changes is None else terms_at(changes, stored_at_ns)

    return terms_of


def summarise(type_: RetentionType) -> RetentionSummary:
    last, older = type_.changes[-1], terms_at(type_.changes, -1)
    return RetentionSummary(
        name=type_.name,
        days=last.days,
        copies=last.copies,
        set_ns=last.set_ns,
        older_days=older.days,
        older_copies=older.copies,
        confirm_ns=last.set_ns + CONFIRM_AFTER_NS if is_shortened(type_.changes) else 0,
    )


def _default(name: str) -> RetentionType:
    terms = DEFAULTS[name]
    return RetentionType(name, (RetentionTerms(terms.days, terms.copies, 0),))


def _new_type(view: View, account_id: bytes, name: str) -> RetentionType:
    """What jobs carried before the type was made is kept as long as anything can be, until that is confirmed."""
    is_carried = any(job.definition.retention.casefold() == name.casefold() for job in list_jobs(view, account_id))
    if not is_carried and sum(1 for _ in list_types(view, account_id)) >= TYPES_MAX:
        raise Conflict(f"an account has at most {TYPES_MAX} retention types", "change one of them")
    return RetentionType(name, (RetentionTerms(DAYS_MAX, COPIES_MAX, 0),) if is_carried else ())


def _needed(changes: tuple[RetentionTerms, ...], now_ns: int) -> tuple[RetentionTerms, ...]:
    """Without those that were changed again before the oldest safeset that can be here was made."""
    year_ago_ns = now_ns - (DAYS_MAX + 1) * 24 * 3600 * 1_000_000_000
    first = max((at for at, one in enumerate(changes) if one.set_ns <= year_ago_ns), default=0)
    return changes[first:]


def _no_type(name: str) -> NotFound:
    return NotFound(f"retention type {name!r} does not exist", "`vaultctl retention list` shows them, `set` makes one")
