"""When the wall clock counts as having jumped."""

from __future__ import annotations

import pytest

from vaultd.policy.clock_jump import Look, is_alive, jump_at_start, jump_between

SECOND = 1_000_000_000
YEARS = 10 * 365 * 24 * 3600
MONTH = 30 * 24 * 3600


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
    ("passed", "jump"),
    [(0, 0), (-300, 0), (-301, -301), (-YEARS, -YEARS), (MONTH, 0), (MONTH + 1, MONTH + 1), (YEARS, YEARS)],
)
def test_a_start_before_the_last_entry_or_a_month_after_it_may_be_a_jump(passed: int, jump: int) -> None:
    """How long a vault was down nobody knows; after a month people are asked."""
    entry_ns = 1_800_000_000 * SECOND
    assert jump_at_start(entry_ns, entry_ns + passed * SECOND) == jump


@pytest.mark.parametrize(
    ("age_seconds", "is_taken"),
    [(-YEARS, False), (-301, False), (-300, True), (0, True), (99, True), (100, False), (YEARS, False)],
)
def test_what_expires_lives_from_its_making_to_its_end(age_seconds: int, is_taken: bool) -> None:
    made_ns = 1_800_000_000 * SECOND
    assert is_alive(made_ns, made_ns + 100 * SECOND, made_ns + age_seconds * SECOND) is is_taken
