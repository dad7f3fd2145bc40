"""Which safesets of a job stay and which expire: the six rules of retention, in their order.

Points are a job's complete safesets that nothing replaced, in the order of their numbers. Those that ended already
(expired, deleted) are given too: they keep their slot of the day, so that what came after them does not become a
scheduled one. The only time is the vault's.

A safeset fills the slot of its day (UTC) when it is the day's first; every other one is an extra, whatever type it
carries. Extras are ranked among themselves, and the limit of 44 takes them first, so that no number of them costs a
safeset that fills a slot.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vaultd.policy.retention_terms import Terms

DEFAULT_TYPE = "daily"
EXTRA = "extra"
DAYS_MAX = 365
COPIES_MAX = 44
ALL_LIMITED = -1
EXTRAS_AN_HOUR_MAX = 24
DAY_NS = 24 * 3600 * 1_000_000_000
HOUR_NS = 3600 * 1_000_000_000

TermsOf = Callable[[str, int], Terms | None]


class OverLimit(StrEnum):
    """What happens beyond 44 safesets of a job."""

    EXPIRE = "expire"
    KEEP = "keep-and-bill"


class Reason(StrEnum):
    """Why a safeset stays or goes. Those after `unknown_type` are reasons to go."""

    NEWEST = "newest"
    PINNED = "pinned"
    DAYS = "days"
    COPIES = "copies"
    UNKNOWN_TYPE = "unknown_type"
    YEAR = "year"
    TERMS = "terms"
    LIMIT = "limit"


_GOING = frozenset((Reason.YEAR, Reason.TERMS, Reason.LIMIT))


@dataclass(frozen=True, slots=True)
class Point:
    """`type` is the retention type that the safeset carries."""

    timeline: int
    sequence: int
    stored_at_ns: int
    type: str
    is_pinned: bool = False
    is_ended: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """`type`: what the point was judged as, `extra` where it fills no slot. `is_held`: it would go, but a freeze holds
    it.
    """

    point: Point
    type: str
    reason: Reason
    is_held: bool = False

    @property
    def goes(self) -> bool:
        return self.reason in _GOING and not self.is_held


def judge(
    points: Sequence[Point], terms_of: TermsOf, now_ns: int, limited_from_ns: int | None, *, is_frozen: bool
) -> list[Verdict]:
    """Of every point that did not end, in the order of the points. `terms_of`: those that hold for a type and a time of
    storing; None for a type that the account does not have, whose safesets only the limits end. `limited_from_ns`: 44
    are kept of those that were stored after it (ALL_LIMITED: of all); None where the account pays for more.
    """
    types = [(point, type_) for point, type_ in zip(points, _types(points), strict=True) if not point.is_ended]
    reasons: list[Reason] = []
    ranks: Counter[str] = Counter()
    for point, type_ in reversed(types):
        if not point.is_pinned:
            ranks[type_] += 1
        terms = terms_of(type_, point.stored_at_ns)
        reasons.append(Reason.NEWEST if not reasons else _reason(point, terms, ranks[type_], now_ns))
    reasons.reverse()
    if limited_from_ns is not None:
        _apply_limit(types, reasons, limited_from_ns)
    return [
        Verdict(point, type_, reason, is_frozen and reason in _GOING)
        for (point, type_), reason in zip(types, reasons, strict=True)
    ]


def unchanged_until(verdicts: Iterable[Verdict], terms_of: TermsOf, now_ns: int) -> int:
    """Until when, that included, time alone changes none of them; a year at most."""
    ends = [now_ns + DAYS_MAX * DAY_NS]
    for verdict in verdicts:
        terms = terms_of(verdict.type, verdict.point.stored_at_ns)
        for days in (DAYS_MAX,) if terms is None else (DAYS_MAX, terms.days):
            ends.append(verdict.point.stored_at_ns + days * DAY_NS)
    return min(end for end in ends if end >= now_ns)


def fills_slot(stored_at_ns: int, newest_slot: int) -> bool:
    """Of a new complete safeset, by the day whose slot was filled last (-1 before the first)."""
    return day_of(stored_at_ns) != newest_slot


def day_of(time_ns: int) -> int:
    return time_ns // DAY_NS


def is_burst(points: Sequence[Point], since_ns: int) -> bool:
    """Whether more extras came within an hour than anybody makes by hand: those stored after the time at which an
    administrator said that all is well.
    """
    times = sorted(
        point.stored_at_ns
        for point, type_ in zip(points, _types(points), strict=True)
        if type_ == EXTRA and point.stored_at_ns > since_ns
    )
    return any(later - first < HOUR_NS for first, later in zip(times, times[EXTRAS_AN_HOUR_MAX:], strict=False))


def _types(points: Iterable[Point]) -> list[str]:
    filled: set[int] = set()
    types = []
    for point in points:
        day = day_of(point.stored_at_ns)
        is_slot = point.type != EXTRA and day not in filled
        if is_slot:
            filled.add(day)
        types.append(point.type if is_slot else EXTRA)
    return types


def _reason(point: Point, terms: Terms | None, rank: int, now_ns: int) -> Reason:
    age_ns = now_ns - point.stored_at_ns
    if age_ns > DAYS_MAX * DAY_NS:
        return Reason.YEAR
    if point.is_pinned:
        return Reason.PINNED
    if terms is None:
        return Reason.UNKNOWN_TYPE
    if age_ns <= terms.days * DAY_NS:
        return Reason.DAYS
    return Reason.COPIES if rank <= terms.copies else Reason.TERMS


def _apply_limit(types: Sequence[tuple[Point, str]], reasons: list[Reason], limited_from_ns: int) -> None:
    """Extras first, oldest first. The newest stays, also as the forty-fifth: one extra displaces no scheduled one.

    Those from before the limit neither go nor count: if they did, what is newer would go in their place.
    """
    limited = [at for at, (point, _) in enumerate(types) if point.stored_at_ns > limited_from_ns]
    kept = [at for at in limited if reasons[at] not in _GOING]
    extras = [at for at in kept if types[at][1] == EXTRA and not types[at][0].is_pinned]
    firm = len(kept) - len(extras)
    excess = len(kept) - COPIES_MAX
    for at in extras:
        if excess > 0 and reasons[at] is not Reason.NEWEST:
            reasons[at] = Reason.LIMIT
            excess -= 1
    scheduled = (at for at in kept if types[at][1] != EXTRA and not types[at][0].is_pinned)
    excess = firm - COPIES_MAX
    for at in scheduled:
        if excess > 0 and reasons[at] is not Reason.NEWEST:
            reasons[at] = Reason.LIMIT
            excess -= 1
