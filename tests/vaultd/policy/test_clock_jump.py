"""When the wall clock counts as having jumped."""

from __future__ import annotations

import pytest

from vaultd.policy.clock_jump import Look, is_alive, jump_at_start, jump_between

SECOND = 1_000_000_000
YEARS = 10 * 365 * 24 * 3600
DAY = 24 * 3600
WEEK, MONTH = 7 * DAY, 30 * DAY


@pytest.mark.parametrize(
    ("wall_seconds", "monotonic_seconds", "jump_seconds"),
    [
        (10, 10, 0),
        (0, 10, 0),
        (310, 10, 0),  # at the bound
        (311, 10, 301),
        (-290, 10, 0),
        (-291, 10, -301),
        (YEARS + 10, 10, YEARS),
        (10 - YEARS, 10, -YEARS),
        (86_400, 86_400, 0),  # a look that came late
    ],
)
def test_a_clock_that_ran_otherwise_than_time_passed_jumped(
    wall_seconds: int, monotonic_seconds: int, jump_seconds: int
) -> None:
    before = Look(1_800_000_000 * SECOND, 1000.0)
    now = Look(before.wall_ns + wall_seconds * SECOND, before.monotonic_seconds + monotonic_seconds)
    assert jump_between(before, now) == jump_seconds


@pytest.mark.parametrize(
    ("passed", "undelete", "jump"),
    [
        (0, WEEK, 0), (-300, WEEK, 0), (-301, WEEK, -301), (-YEARS, WEEK, -YEARS),
        (WEEK - 1, WEEK, 0), (WEEK, WEEK, WEEK), (YEARS, WEEK, YEARS),
        (DAY - 1, 0, 0), (DAY, 0, DAY), (MONTH - 1, YEARS, 0), (MONTH, YEARS, MONTH),
    ],
)  # fmt: skip
def test_a_start_before_the_last_entry_or_long_after_it_may_be_a_jump(passed: int, undelete: int, jump: int) -> None:
    """How long a vault was down nobody knows; before all that was deleted is purged, and after a month, people are
    asked.
    """
    entry_ns = 1_800_000_000 * SECOND
    assert jump_at_start(entry_ns, entry_ns + passed * SECOND, undelete) == jump


@pytest.mark.parametrize(
    ("age_seconds", "is_taken"),
    [(-YEARS, False), (-301, False), (-300, True), (0, True), (99, True), (100, False), (YEARS, False)],
)
def test_what_expires_lives_from_its_making_to_its_end(age_seconds: int, is_taken: bool) -> None:
    made_ns = 1_800_000_000 * SECOND
    assert is_alive(made_ns, made_ns + 100 * SECOND, made_ns + age_seconds * SECOND) is is_taken
