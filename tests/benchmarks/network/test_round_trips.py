"""What counts as a round trip."""

from __future__ import annotations

from benchmarks.network.round_trips import RoundTrips


def test_each_question_after_an_answer_is_one_and_so_is_the_set_up() -> None:
    counts = RoundTrips()
    for _ in range(3):
        counts.arrive_at_server(counts.client_depth)
        counts.arrive_at_client(counts.server_depth)
    assert counts.client_depth == 4


def test_questions_that_are_asked_at_once_are_one() -> None:
    counts = RoundTrips()
    under_way = [counts.client_depth for _ in range(3)]
    for question in under_way:
        counts.arrive_at_server(question)
        counts.arrive_at_client(counts.server_depth)
    assert counts.client_depth == 2


def test_an_answer_that_left_before_the_question_came_is_none() -> None:
    counts = RoundTrips()
    counts.arrive_at_server(counts.client_depth)
    early = counts.server_depth
    counts.arrive_at_client(early)
    counts.arrive_at_server(counts.client_depth)
    counts.arrive_at_client(early)
    assert counts.client_depth == 2


def test_a_greeting_of_the_server_costs_nothing() -> None:
    counts = RoundTrips()
    counts.arrive_at_client(counts.server_depth)
    assert counts.client_depth == 1
