"""What days and copies of a retention type hold for a safeset, when they were changed since it was made.

More days or more copies hold at once and for all. Fewer hold for what is made after the change; for older safesets only
when seven days have passed and somebody confirmed them then: whoever stole an administrator's credentials cannot have
history expire within a week.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vaultd.records import RetentionTerms

CONFIRM_AFTER_NS = 7 * 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """A safeset expires when it is older than `days` and there are `copies` newer ones of its type."""

    days: int
    copies: int


def terms_at(changes: Sequence[RetentionTerms], stored_at_ns: int) -> Terms:
    """Those that hold for a safeset stored at that time, by all changes of its type in their order (at least one)."""
    held = _terms(changes[0])
    for change in changes[1:]:
        is_meant = change.set_ns < stored_at_ns or change.confirmed_ns != 0
        held = _terms(change) if is_meant else _longer(held, change)
    return held


def is_shortened(changes: Sequence[RetentionTerms]) -> bool:
    """Whether the last change waits to be confirmed: it ends something earlier than what holds for older safesets."""
    last = changes[-1]
    if len(changes) == 1 or last.confirmed_ns:
        return False
    return terms_at(changes, -1) != _terms(last)


def may_confirm(set_ns: int, now_ns: int) -> bool:
    return now_ns - set_ns >= CONFIRM_AFTER_NS


def _terms(change: RetentionTerms) -> Terms:
    return Terms(change.days, change.copies)


def _longer(held: Terms, change: RetentionTerms) -> Terms:
    return Terms(max(held.days, change.days), max(held.copies, change.copies))
