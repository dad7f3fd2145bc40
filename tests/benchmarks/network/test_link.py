"""Times of a link against numbers computed by hand."""

from __future__ import annotations

import pytest

from benchmarks.network.link import Link

GIGABIT = 125_000_000


def test_bytes_arrive_after_their_own_length_and_the_delay() -> None:
    link = Link(rate_bytes_per_second=1000, delay_seconds=0.25)
    assert link.send(10.0, 500) == pytest.approx(10.75)


def test_bytes_leave_behind_those_that_were_sent_before() -> None:
    link = Link(rate_bytes_per_second=1000, delay_seconds=0.25)
    link.send(10.0, 500)
    assert link.send(10.1, 100) == pytest.approx(10.85)
    assert link.send(20.0, 100) == pytest.approx(20.35), "an idle link has saved up nothing"


def test_a_gigabit_link_carries_125_megabytes_in_a_second() -> None:
    link = Link(rate_bytes_per_second=GIGABIT, delay_seconds=0.075)
    arrivals = [link.send(0.0, 125_000) for _ in range(1000)]
    assert arrivals[0] == pytest.approx(0.076)
    assert arrivals[-1] == pytest.approx(1.075)


def test_a_sender_waits_until_the_queue_has_room() -> None:
    link = Link(rate_bytes_per_second=1000, delay_seconds=5, queue_bytes=2000)
    assert link.room_at(0.0) == 0.0
    link.send(0.0, 2000)
    assert link.room_at(0.0) == 0.0
    link.send(0.0, 500)
    assert link.room_at(0.0) == pytest.approx(0.5), "2,500 wait, 500 of them must have left"
    assert link.room_at(0.7) == 0.7


def test_a_link_without_a_rate_only_delays() -> None:
    link = Link(rate_bytes_per_second=None, delay_seconds=0.5)
    assert link.send(1.0, 1 << 30) == 1.5
    assert link.send(1.1, 1) == 1.6
    assert link.room_at(1.1) == 1.1


def test_a_connection_may_fill_link_and_queue() -> None:
    link = Link(rate_bytes_per_second=GIGABIT, delay_seconds=0.075, queue_bytes=4_194_304)
    assert link.window_bytes() == 9_375_000 + 4_194_304 + 262_144


@pytest.mark.parametrize(
    ("rate", "piece"), [(GIGABIT, 125_000), (1_250_000, 1460), (1_250_000_000, 262_144), (None, 262_144)]
)
def test_a_piece_is_a_millisecond_within_bounds(rate: float | None, piece: int) -> None:
    assert Link(rate_bytes_per_second=rate, delay_seconds=0).piece_bytes() == piece
