"""Which terms hold for an older safeset when they were changed since."""

import pytest

from vaultd.policy.retention_terms import Terms, is_shortened, may_confirm, terms_at
from vaultd.records import RetentionTerms

WEEK_NS = 7 * 24 * 3600 * 1_000_000_000
LONG, SHORT = Terms(30, 30), Terms(7, 5)


def change(terms: Terms, set_ns: int, confirmed_ns: int = 0) -> RetentionTerms:
    return RetentionTerms(terms.days, terms.copies, set_ns, confirmed_ns)


@pytest.mark.parametrize(
    ("changes", "stored_at_ns", "held"),
    [
        ([change(LONG, 100)], 50, LONG),  # the first terms hold for all
        ([change(LONG, 0), change(SHORT, 100)], 50, LONG),
        ([change(LONG, 0), change(SHORT, 100)], 100, LONG),
        ([change(LONG, 0), change(SHORT, 100)], 101, SHORT),
        ([change(LONG, 0), change(SHORT, 100, 900)], 50, SHORT),
        ([change(SHORT, 0), change(LONG, 100)], 50, LONG),  # more holds at once
        ([change(Terms(30, 5), 0), change(Terms(7, 30), 100)], 50, Terms(30, 30)),  # each by itself
        ([change(LONG, 0), change(SHORT, 100), change(Terms(10, 10), 200)], 50, LONG),
        ([change(LONG, 0), change(SHORT, 100), change(Terms(10, 10), 200)], 150, Terms(10, 10)),
        ([change(LONG, 0), change(SHORT, 100), change(Terms(10, 10), 200, 900)], 50, Terms(10, 10)),
        ([change(LONG, 0), change(SHORT, 100, 900), change(Terms(1, 1), 200)], 50, SHORT),
    ],
)
def test_terms_of_a_safeset(changes: list[RetentionTerms], stored_at_ns: int, held: Terms) -> None:
    assert terms_at(changes, stored_at_ns) == held


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ([change(SHORT, 0)], False),
        ([change(LONG, 0), change(SHORT, 100)], True),
        ([change(LONG, 0), change(SHORT, 100, 900)], False),
        ([change(SHORT, 0), change(LONG, 100)], False),
        ([change(LONG, 0), change(SHORT, 100), change(LONG, 200)], False),
    ],
)
def test_what_waits_to_be_confirmed(changes: list[RetentionTerms], waits: bool) -> None:  # noqa: FBT001
    assert is_shortened(changes) is waits


def test_it_may_be_confirmed_after_seven_days() -> None:
    assert not may_confirm(100, 100 + WEEK_NS - 1)
    assert may_confirm(100, 100 + WEEK_NS)
    assert not may_confirm(100, 0)  # a clock that was set back
