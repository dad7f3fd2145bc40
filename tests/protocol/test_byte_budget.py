"""The budget of receive memory is shared by account first."""

import pytest

from protocol.byte_budget import ByteBudget

MIB = 1024 * 1024


def test_one_stream_gets_no_more_than_the_largest_window():
    budget = ByteBudget(64 * MIB)
    budget.register(1, b"a")
    assert budget.window(1) == 16 * MIB


def test_an_account_with_many_streams_takes_nothing_from_another():
    budget = ByteBudget(64 * MIB)
    for stream in range(8):
        budget.register(stream, b"many")
    budget.register("one", b"few")
    assert [budget.window(stream) for stream in range(8)] == [4 * MIB] * 8
    assert budget.window("one") == 16 * MIB


def test_the_sum_stays_within_the_budget():
    budget = ByteBudget(64 * MIB)
    streams = [(account, number) for account in range(5) for number in range(account + 1)]
    for stream in streams:
        budget.register(stream, bytes([stream[0]]))
    assert sum(budget.window(stream) for stream in streams) <= 64 * MIB


def test_every_stream_keeps_a_least_window():
    budget = ByteBudget(MIB)
    for stream in range(100):
        budget.register(stream, bytes([stream]))
    assert budget.window(0) == 256 * 1024


def test_what_leaves_makes_room():
    budget = ByteBudget(16 * MIB)
    budget.register(1, b"a")
    budget.register(2, b"b")
    assert budget.window(1) == 8 * MIB
    budget.unregister(2)
    budget.unregister(2)
    assert budget.window(1) == 16 * MIB


def test_a_stream_registers_once():
    budget = ByteBudget()
    budget.register(1, b"a")
    with pytest.raises(ValueError, match="registered already"):
        budget.register(1, b"a")
