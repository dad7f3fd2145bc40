"""Which terms hold for an older safeset when they were changed since."""

import pytest

from vaultd.policy.retention_terms import Change, Terms, is_shortened, may_confirm, terms_at

WEEK_NS = 7 * 24 * 3600 * 1_000_000_000
LONG, SHORT = Terms(30, 30), Terms(7, 5)


@pytest.mark.parametrize(
    ("changes", "stored_at_ns", "held"),
    [
        ([Change(LONG, 100)], 50, LONG),  # the first terms hold for all
        ([Change(LONG, 0), Change(SHORT, 100)], 50, LONG),
        ([Change(LONG, 0), Change(SHORT, 100)], 100, SHORT),
        ([Change(LONG, 0), Change(SHORT, 100, 900)], 50, SHORT),
        ([Change(SHORT, 0), Change(LONG, 100)], 50, LONG),  # more holds at once
        ([Change(Terms(30, 5), 0), Change(Terms(7, 30), 100)], 50, Terms(30, 30)),  # each by itself
        ([Change(LONG, 0), Change(SHORT, 100), Change(Terms(10, 10), 200)], 50, LONG),
        ([Change(LONG, 0), Change(SHORT, 100), Change(Terms(10, 10), 200)], 150, Terms(10, 10)),
        ([Change(LONG, 0), Change(SHORT, 100), Change(Terms(10, 10), 200, 900)], 50, Terms(10, 10)),
        ([Change(LONG, 0), Change(SHORT, 100, 900), Change(Terms(1, 1), 200)], 50, SHORT),
    ],
)
def test_terms_of_a_safeset(changes: list[Change], stored_at_ns: int, held: Terms) -> None:
    assert terms_at(changes, stored_at_ns) == held


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ([Change(SHORT, 0)], False),
        ([Change(LONG, 0), Change(SHORT, 100)], True),
        ([Change(LONG, 0), Change(SHORT, 100, 900)], False),
        ([Change(SHORT, 0), Change(LONG, 100)], False),
        ([Change(LONG, 0), Change(SHORT, 100), Change(LONG, 200)], False),
    ],
)
def test_what_waits_to_be_confirmed(changes: list[Change], waits: bool) -> None:  # noqa: FBT001
    assert is_shortened(changes) is waits


def test_it_may_be_confirmed_after_seven_days() -> None:
    assert not may_confirm(Change(SHORT, 100), 100 + WEEK_NS - 1)
    assert may_confirm(Change(SHORT, 100), 100 + WEEK_NS)
    assert not may_confirm(Change(SHORT, 100), 0)  # a clock that was set back
