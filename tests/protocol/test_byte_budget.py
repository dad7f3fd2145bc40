"""The budget of receive memory is shared by account first, and its sum holds whatever comes in which order."""

import random
from collections.abc import Callable

import pytest

from protocol.byte_budget import ByteBudget
from protocol.credit import SharedCredit
from protocol.limits import BULK_WINDOW_BYTES_MAX

KIB, MIB = 1024, 1024 * 1024


class Receiver:
    """What the budget tells a stream."""

    def __init__(self, refill: Callable[[], None] = lambda: None) -> None:
        self.refill = refill
        self.given_up = 0

    def give_up_slow_frame(self) -> None:
        self.given_up += 1


def add(budget: ByteBudget, *streams: object, account: bytes = b"a") -> None:
    for stream in streams:
        budget.register(stream, account, Receiver())


def test_one_stream_gets_no_more_than_the_largest_window():
    budget = ByteBudget(256 * MIB)
    add(budget, 1)
    assert budget.window(1, 0) == BULK_WINDOW_BYTES_MAX


def test_the_default_budget_lets_a_lone_upload_fill_a_long_line():
    """1 Gbit/s with a round trip of 150 ms, though the window is filled up by eighths and a frame of 2 MiB is held."""
    budget = ByteBudget()
    add(budget, 1)
    assert budget.window(1, 0) * 7 // 8 - 2 * MIB >= 1_000_000_000 // 8 * 150 // 1000


def test_an_account_with_many_streams_takes_nothing_from_another():
    budget = ByteBudget(64 * MIB)
    add(budget, *range(8), account=b"many")
    add(budget, "one", account=b"few")
    assert [budget.window(stream, 0) for stream in range(8)] == [2 * MIB] * 8
    assert budget.window("one", 0) == 16 * MIB


def test_the_sum_stays_within_half_the_budget_when_streams_come_in_turn():
    """A window that was promised counts until it was used, however small the share is by now."""
    budget, total = ByteBudget(64 * MIB), 0
    for number in range(32):
        add(budget, number, account=bytes([number]))
        total += budget.window(number, 64 * KIB)
        assert total <= 32 * MIB + 256 * KIB * (number + 1)
    assert budget.window(0, 16 * MIB) == 1 * MIB
    assert budget.window(31, 0) == 256 * KIB
    budget.window(0, 0)  # what it had was used up
    assert budget.window(31, 0) == 1 * MIB


def test_every_stream_keeps_a_least_window():
    budget = ByteBudget(MIB)
    for stream in range(100):
        add(budget, stream, account=bytes([stream]))
    assert budget.window(99, 0) == 256 * KIB


def test_what_leaves_makes_room():
    budget = ByteBudget(16 * MIB)
    add(budget, 1, account=b"a")
    add(budget, 2, account=b"b")
    add(budget, 3, account=b"c")
    add(budget, 4, account=b"d")
    assert budget.window(1, 0) == 2 * MIB
    for stream in (2, 2, 3, 4):
        budget.unregister(stream)
    assert budget.window(1, 0) == 4 * MIB


def test_an_account_is_promised_half_of_the_windows_at_most():
    budget = ByteBudget(64 * MIB)
    add(budget, 1, 2, account=b"silent")
    assert [budget.window(stream, 0) for stream in (1, 2)] == [8 * MIB] * 2
    add(budget, 3, account=b"b")
    add(budget, 4, account=b"c")
    assert [budget.window(stream, 16 * MIB) for stream in (1, 2)] == [16 * MIB // 3] * 2  # it keeps what it has
    assert [budget.window(3, 0), budget.window(4, 0)] == [32 * MIB // 3, 32 * MIB - 16 * MIB - 32 * MIB // 3]


def test_a_stream_registers_once():
    budget = ByteBudget()
    add(budget, 1)
    with pytest.raises(ValueError, match="registered already"):
        add(budget, 1)


def test_large_frames_wait_for_their_turn_and_the_account_with_least_goes_first():
    budget, admitted = ByteBudget(32 * MIB), []
    for stream, account in ((1, b"a"), (2, b"a"), (3, b"a"), (4, b"b")):
        budget.register(stream, account, Receiver(lambda stream=stream: admitted.append(stream)))
    assert budget.admit(1, 7 * MIB)
    assert not budget.admit(2, 7 * MIB)  # the account has its half
    assert not budget.admit(3, 7 * MIB)
    assert budget.admit(4, 7 * MIB)
    budget.give_back(1)
    assert admitted == [1, 4, 2]
    budget.unregister(2)
    assert admitted == [1, 4, 2, 3]
    assert budget.admit(3, 7 * MIB)


def test_the_account_with_least_goes_first_however_late_it_comes():
    budget, admitted = ByteBudget(32 * MIB), []
    for stream, account in (("a1", b"a"), ("a2", b"a"), ("b1", b"b"), ("c1", b"c")):
        budget.register(stream, account, Receiver(lambda stream=stream: admitted.append(stream)))
    for stream, frame_bytes in (("b1", 12 * MIB), ("a1", 2 * MIB), ("a2", 3.5 * MIB), ("c1", 13 * MIB)):
        budget.admit(stream, int(frame_bytes))
    assert admitted == ["b1", "a1"]
    budget.give_back("b1")
    assert admitted == ["b1", "a1", "c1"]


@pytest.mark.parametrize("large_mib", [2.7, 4.2, 16])
def test_small_frames_of_many_accounts_never_keep_a_large_one_waiting_for_ever(large_mib: float):
    """A model: whoever was served asks again at once; frames go in the order in which they were admitted."""
    budget, admitted = ByteBudget(64 * MIB), []
    for number in range(20):
        budget.register(number, bytes([number]), Receiver(lambda number=number: admitted.append(number)))
    budget.register("large", b"large", Receiver(lambda: admitted.append("large")))
    for number in range(20):
        budget.admit(number, 2 * MIB)
    assert not budget.admit("large", int(large_mib * MIB))
    served = 0
    while "large" not in admitted:
        served += 1
        assert served <= 40
        number = admitted.pop(0)
        budget.give_back(number)
        budget.admit(number, 2 * MIB)


def test_an_older_frame_of_an_account_goes_before_its_younger_ones():
    budget = ByteBudget(32 * MIB)
    add(budget, 1, 2, 3)
    assert budget.admit(1, 10 * MIB)
    assert not budget.admit(2, 10 * MIB)
    assert not budget.admit(3, MIB)
    budget.give_back(1)
    assert budget.admit(2, 10 * MIB)
    assert budget.admit(3, MIB)


def test_a_frame_is_late_by_its_own_time_not_by_that_of_the_one_before():
    budget, slow = ByteBudget(16 * MIB), Receiver()
    budget.register("slow", b"a", slow)
    add(budget, "other", account=b"b")
    assert budget.admit("slow", 8 * MIB)
    assert not budget.admit("other", 8 * MIB)
    budget.give_up_slow_frames(0)
    budget.give_back("slow")
    budget.give_back("other")
    assert budget.admit("slow", 8 * MIB)
    assert not budget.admit("other", 8 * MIB)
    budget.give_up_slow_frames(60)
    assert slow.given_up == 0
    budget.give_up_slow_frames(120)
    assert slow.given_up == 1


def test_one_frame_is_let_in_however_large():
    budget = ByteBudget(16 * MIB)
    add(budget, 1, 2)
    assert budget.admit(1, 16 * MIB)
    assert not budget.admit(2, 300 * KIB)


def test_a_slow_frame_is_given_up_only_while_others_wait():
    budget, slow, other = ByteBudget(16 * MIB), Receiver(), Receiver()
    budget.register("slow", b"a", slow)
    budget.register("other", b"b", other)
    assert budget.admit("slow", 8 * MIB)
    for now_seconds in (0, 1000, 2000):
        budget.give_up_slow_frames(now_seconds)
    assert slow.given_up == 0
    assert not budget.admit("other", 8 * MIB)
    for now_seconds in (3000, 3001, 3059):
        budget.give_up_slow_frames(now_seconds)
    assert slow.given_up == 0
    budget.give_up_slow_frames(3060)
    assert (slow.given_up, other.given_up) == (1, 0)
    budget.unregister("slow")
    assert budget.admit("other", 8 * MIB)
    budget.give_up_slow_frames(4000)
    assert other.given_up == 0


@pytest.mark.parametrize("seed", range(20))
def test_admitted_frames_stay_within_their_half(seed: int):
    """A model: frames of up to 8 MiB of many streams come and go at random; each comes in the end."""
    chance, budget = random.Random(seed), ByteBudget(32 * MIB)
    admitted: dict[int, int] = {}
    wanted = {stream: chance.randrange(300 * KIB, 8 * MIB) for stream in range(30)}

    def came(stream: int) -> None:
        admitted[stream] = wanted.pop(stream)

    for stream in wanted:
        budget.register(stream, bytes([stream % 4]), Receiver(lambda stream=stream: came(stream)))
    for stream in list(wanted):
        assert budget.admit(stream, wanted.get(stream, 0)) is (stream in admitted)
    while admitted:
        assert sum(size - 256 * KIB for size in admitted.values()) <= 16 * MIB
        gone = chance.choice(list(admitted))
        del admitted[gone]
        budget.give_back(gone)
    assert wanted == {}


def test_a_frame_that_waited_and_fits_by_now_waits_no_more():
    budget = ByteBudget(16 * MIB)
    others = [f"other {number}" for number in range(30)]
    add(budget, "large", account=b"l")
    assert budget.admit("large", 8 * MIB + 256 * KIB)
    for number, stream in enumerate(others):
        add(budget, stream, account=bytes([number]))
    add(budget, "grows", account=b"g")
    credit = SharedCredit(budget, "grows")
    assert credit.window_bytes(0, 0, 300 * KIB) == 256 * KIB
    for stream in others:
        budget.unregister(stream)
    assert credit.window_bytes(0, 0, 300 * KIB) > 300 * KIB
    budget.give_back("large")
    add(budget, "next", account=b"n")
    assert budget.admit("next", 8 * MIB + 256 * KIB)
    assert credit.window_bytes(0, 0, 8 * MIB) < 8 * MIB, "no admission is left from the frame that came"


def test_questions_take_nothing_from_the_windows_of_uploads():
    budget = ByteBudget(64 * MIB)
    add(budget, "upload")
    for number in range(60):
        budget.register(number, b"a", Receiver(), least_bytes=0)
    assert budget.window("upload", 0) == 16 * MIB
