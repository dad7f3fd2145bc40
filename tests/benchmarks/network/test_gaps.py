"""When a link carried nothing."""

from __future__ import annotations

import pytest

from benchmarks.network.gaps import Gaps


def test_only_what_passed_after_the_last_byte_left_is_a_gap() -> None:
    gaps = Gaps()
    gaps.carry(10.0, 1000, 10.5)
    gaps.carry(10.2, 2000, 11.5)  # came while the link was busy
    gaps.carry(13.5, 4000, 15.5)
    gaps.carry(15.5, 8000, 16.5)
    assert gaps.found == [(11.5, pytest.approx(2.0), 3000)]
    assert (gaps.begun_at, gaps.ended_at) == (10.0, 16.5)


def test_the_wait_for_the_first_byte_is_no_gap() -> None:
    gaps = Gaps()
    gaps.carry(10.0, 1000, 10.5)
    assert gaps.found == []
