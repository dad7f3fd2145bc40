"""The six rules of retention, by tables of what stays and what goes."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultd.policy.retention import (
    ALL_LIMITED,
    DAY_NS,
    EXTRA,
    HOUR_NS,
    Point,
    Reason,
    Verdict,
    fills_slot,
    is_burst,
    judge,
    unchanged_until,
)
from vaultd.policy.retention_terms import Terms

NOW_DAY = 20_000
TERMS = {"daily": Terms(30, 30), "weekly": Terms(90, 4), "monthly": Terms(365, 11), EXTRA: Terms(7, 3)}


def terms_of(type_: str, _stored_at_ns: int) -> Terms | None:
    return TERMS.get(type_)


def at(days_ago: float, type_: str = "daily", *, pinned: bool = False, ended: bool = False) -> Point:
    """At noon of a day, as many days ago as is said; numbered by `numbered`."""
    return Point(1, 0, round((NOW_DAY + 0.5 - days_ago) * DAY_NS), type_, pinned, ended)


def numbered(points: Sequence[Point]) -> list[Point]:
    return [
        Point(1, number, p.stored_at_ns, p.type, p.is_pinned, p.is_ended) for number, p in enumerate(points, start=1)
    ]


def verdicts(
    points: Sequence[Point],
    *,
    limited_from_ns: int | None = ALL_LIMITED,
    is_frozen: bool = False,
    terms: Callable[[str, int], Terms | None] = terms_of,
) -> list[Verdict]:
    now_ns = round((NOW_DAY + 0.5) * DAY_NS)
    return judge(numbered(points), terms, now_ns, limited_from_ns, is_frozen=is_frozen)


def reasons(points: Sequence[Point], limited_from_ns: int | None = ALL_LIMITED) -> list[str]:
    return [verdict.reason.value for verdict in verdicts(points, limited_from_ns=limited_from_ns)]


def daily(first: int, last: int) -> list[Point]:
    """One a day, the oldest first."""
    return [at(day) for day in range(first, last - 1, -1)]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([at(0)], ["newest"]),
        ([at(1000)], ["newest"]),  # rule 1 comes before rule 2
        ([at(366), at(1)], ["year", "newest"]),
        ([at(364.9), at(1)], ["copies", "newest"]),
        ([at(366, pinned=True), at(1)], ["year", "newest"]),  # rule 5: a pin obeys rule 2
        ([at(200, "weekly"), at(1)], ["copies", "newest"]),  # the days are over and the copies are not
        ([at(80, "weekly"), *(at(d, "weekly") for d in (50, 40, 30, 20, 10)), at(0)], ["days"] * 6 + ["newest"]),
        (
            [*(at(d, "weekly") for d in (150, 140, 130, 120, 110, 100)), at(0)],
            ["terms", "terms", "copies", "copies", "copies", "copies", "newest"],
        ),
        (  # ranked within the type, and a pinned one holds nobody's place
            [at(150, "weekly"), *(at(d, "weekly", pinned=True) for d in (140, 130, 120, 110)), at(100), at(0)],
            ["copies", *["pinned"] * 4, "copies", "newest"],
        ),
        ([at(300, "yearly"), *daily(5, 1)], ["unknown_type", *["days"] * 4, "newest"]),
        ([at(300, ended=True), at(200), at(1)], ["copies", "newest"]),  # what ended is not judged
    ],
)
def test_rules(points: list[Point], expected: list[str]) -> None:
    assert reasons(points) == expected


def test_days_and_copies_must_both_be_exceeded() -> None:
    assert reasons(daily(40, 1))[:11] == ["terms"] * 10 + ["days"]  # 40 to 31 days old, with 30 newer ones or more
    assert "terms" not in reasons(daily(29, 0))
    assert "terms" not in reasons([at(d) for d in range(87, 0, -3)])  # 29 of them, 87 days back


def test_beyond_44_the_oldest_go_unless_the_account_pays_for_them() -> None:
    points = [at(d, "monthly") for d in range(50, 0, -1)]
    assert reasons(points) == ["limit"] * 6 + ["days"] * 43 + ["newest"]
    assert reasons(points, None) == ["days"] * 49 + ["newest"]


def test_a_limit_that_came_back_neither_ends_nor_counts_what_is_older() -> None:
    points = [at(d, "monthly") for d in range(100, 0, -1)]
    came_back_ns = points[49].stored_at_ns  # the one 51 days old is the last from before
    assert reasons(points, came_back_ns) == ["days"] * 50 + ["limit"] * 6 + ["days"] * 43 + ["newest"]
    assert reasons(points, came_back_ns)[49] == "days"  # at the very time is before
    assert reasons(points[:60], came_back_ns) == ["days"] * 59 + ["newest"]


def test_pinned_ones_count_towards_44_and_stay() -> None:
    points = [at(d, "monthly", pinned=d > 40) for d in range(50, 0, -1)]
    assert reasons(points) == ["pinned"] * 10 + ["limit"] * 6 + ["days"] * 33 + ["newest"]


def test_extras_displace_only_each_other() -> None:
    flood = [Point(1, 0, round((NOW_DAY + 0.5) * DAY_NS) - 500 * 1000 + n, "daily") for n in range(500)]
    scheduled = [at(d, "monthly") for d in range(43, 0, -1)]
    found = verdicts([*scheduled, *flood])
    assert not any(verdict.goes for verdict in found[:44])
    assert [verdict.type for verdict in found[43:]] == ["daily", *[EXTRA] * 499]  # the first of its day fills the slot
    assert [verdict.reason for verdict in found[44:-1]] == [Reason.LIMIT] * 498
    assert found[-1].reason is Reason.NEWEST


def test_an_extra_that_is_the_newest_is_the_forty_fifth() -> None:
    points = [*(at(d, "monthly") for d in range(44, 0, -1)), at(0.5, EXTRA)]
    assert reasons(points) == ["days"] * 44 + ["newest"]


def test_extras_go_by_their_own_terms_whatever_they_carry() -> None:
    second_of_its_day = [[at(d + 0.2), at(d)] for d in range(12, 0, -1)]
    found = verdicts([point for day in second_of_its_day for point in day])
    assert [v.reason.value for v in found if v.type == EXTRA] == ["terms"] * 5 + ["days"] * 6 + ["newest"]
    assert all(v.reason is Reason.DAYS for v in found if v.type == "daily")


def test_an_ended_one_keeps_its_slot() -> None:
    found = verdicts([at(2.2, ended=True), at(2), at(0)])
    assert [verdict.type for verdict in found] == [EXTRA, "daily"]


def test_a_freeze_holds_what_would_go_and_it_is_not_counted() -> None:
    points = daily(40, 1)
    frozen = verdicts(points, is_frozen=True)
    assert not any(verdict.goes for verdict in frozen)
    assert [verdict.is_held for verdict in frozen] == [verdict.goes for verdict in verdicts(points)]
    assert sum(not verdict.is_held for verdict in frozen) == 30


def test_more_than_24_extras_in_an_hour_are_a_burst() -> None:
    start = NOW_DAY * DAY_NS

    def extras(count: int, apart_ns: int) -> list[Point]:
        return [Point(1, n, start + n * apart_ns, EXTRA) for n in range(count)]

    assert not is_burst(extras(24, 1), 0)
    assert is_burst(extras(25, 1), 0)
    assert not is_burst(extras(500, HOUR_NS // 24), 0)
    assert is_burst(extras(500, HOUR_NS // 25), 0)
    assert not is_burst(extras(25, 1), start)  # the first was there when somebody said that all is well
    assert not is_burst(daily(40, 1), 0)


def test_a_slot_is_filled_once_a_day() -> None:
    assert fills_slot(5 * DAY_NS, -1)
    assert not fills_slot(6 * DAY_NS - 1, 5)
    assert fills_slot(6 * DAY_NS, 5)
    assert fills_slot(4 * DAY_NS, 5)  # a clock that had gone ahead costs no slot


POINTS = st.lists(
    st.builds(at, st.floats(0, 420), st.sampled_from([*TERMS, "other"]), pinned=st.booleans(), ended=st.booleans()),
    max_size=80,
).map(lambda points: sorted(points, key=lambda point: point.stored_at_ns))


@given(POINTS, st.sampled_from([ALL_LIMITED, None]))
def test_what_always_holds(points: list[Point], limited_from_ns: int | None) -> None:
    found = verdicts(points, limited_from_ns=limited_from_ns)
    kept = [verdict for verdict in found if not verdict.goes]
    assert len(found) == sum(not point.is_ended for point in points)
    if found:
        assert kept[-1] == found[-1]
    now_ns = round((NOW_DAY + 0.5) * DAY_NS)
    for verdict in found[:-1]:
        age_days = (now_ns - verdict.point.stored_at_ns) / DAY_NS
        assert verdict.goes or age_days <= 365
        if verdict.goes and age_days <= 365:
            assert not verdict.point.is_pinned
    if limited_from_ns is not None and not any(verdict.point.is_pinned for verdict in found):
        assert len(kept) <= 45


@given(POINTS, st.sampled_from([ALL_LIMITED, (NOW_DAY - 60) * DAY_NS, None]), st.floats(0, 1))
def test_until_then_time_alone_changes_nothing(points: list[Point], limited_from_ns: int | None, part: float) -> None:
    now_ns = round((NOW_DAY + 0.5) * DAY_NS)
    found = judge(numbered(points), terms_of, now_ns, limited_from_ns, is_frozen=False)
    until_ns = unchanged_until(found, terms_of, now_ns)
    for later_ns in (until_ns, now_ns + int(part * (until_ns - now_ns))):
        assert judge(numbered(points), terms_of, later_ns, limited_from_ns, is_frozen=False) == found


def test_the_oldest_changes_first() -> None:
    """Of thirty days, and of a year."""
    now_ns = round((NOW_DAY + 0.5) * DAY_NS)
    assert unchanged_until(verdicts(daily(10, 0)), terms_of, now_ns) == now_ns + 20 * DAY_NS
    assert unchanged_until(verdicts([at(360), at(200)]), terms_of, now_ns) == now_ns + 5 * DAY_NS


@given(POINTS, st.lists(st.floats(0, 420), max_size=60))
def test_no_extra_costs_a_scheduled_one(points: list[Point], extras: list[float]) -> None:
    """The newest scheduled one stays in both, so that the extras alone make no difference."""
    points = [*points, at(0)]
    more = sorted([*points, *(at(days, EXTRA) for days in extras)], key=lambda point: point.stored_at_ns)
    assert _kept_scheduled(points) <= _kept_scheduled(more)


def _kept_scheduled(points: Sequence[Point]) -> set[tuple[int, str]]:
    return {(v.point.stored_at_ns, v.type) for v in verdicts(points) if not v.goes and v.type != EXTRA}
