"""When the safesets of a job will go, if it makes one a day of its type from now on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vaultd.policy.retention import DAY_NS, DAYS_MAX, Point, Reason, TermsOf, day_of, judge

DAYS_AHEAD = DAYS_MAX + 2


@dataclass(frozen=True, slots=True)
class Going:
    """At a time and for a reason; `goes_ns` is None where it stays as long as it was looked ahead."""

    goes_ns: int | None
    reason: Reason


def forecast(
    points: Sequence[Point], terms_of: TermsOf, now_ns: int, limited_from_ns: int | None, type_: str
) -> dict[tuple[int, int], Going]:
    """By timeline and sequence, of every point that did not end. A freeze is taken to end now."""
    found: dict[tuple[int, int], Going] = {}
    days = {day_of(one.stored_at_ns) for one in points if not one.is_ended}
    known = [one for one in points if not one.is_ended or day_of(one.stored_at_ns) in days]  # the rest holds no slot
    timeline, sequence = (points[-1].timeline, points[-1].sequence) if points else (1, 0)
    for day in range(DAYS_AHEAD):
        time_ns = now_ns + day * DAY_NS
        if day:
            known.append(Point(timeline, sequence + day, time_ns, type_))
        for verdict in judge(known, terms_of, time_ns, limited_from_ns, is_frozen=False):
            place = verdict.point.timeline, verdict.point.sequence
            if verdict.goes:
                found[place] = Going(time_ns, verdict.reason)
            elif not day:
                found[place] = Going(None, verdict.reason)
        gone = {place for place, going in found.items() if going.goes_ns is not None}
        known = [replace(one, is_ended=one.is_ended or (one.timeline, one.sequence) in gone) for one in known]
    return {place: going for place, going in found.items() if place <= (timeline, sequence)}
