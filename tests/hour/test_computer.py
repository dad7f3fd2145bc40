"""What a computer of the hour tells of its vault."""

from __future__ import annotations

from typing import Any

from tests.hour.computer import Computer
from tests.hour.site import Place


def listed(*numbers: int, complete: bool = True) -> list[dict[str, Any]]:
    return [{"number": number, "complete": complete} for number in numbers]


def make_computer() -> Computer:
    place = Place("account-0", "computer-0", "job-0", "job-0")
    return Computer(None, place, None, 1, 5)  # type: ignore[arg-type]  # neither is asked here


def test_a_safeset_that_nobody_deleted_is_missed() -> None:
    computer = make_computer()
    computer._take_new(listed(1, 2, 3), {})
    computer._take_new(listed(3), {})
    told = [f"job-0: safeset {number} is gone, and nobody deleted it" for number in (1, 2)]
    assert computer.deeds.unexpected == told
    computer.miss(listed())
    assert computer.deeds.unexpected[2:] == ["job-0: safeset 3 is gone, and nobody deleted it"]


def test_a_provisional_one_that_was_replaced_is_not() -> None:
    computer = make_computer()
    computer._take_new(listed(1, complete=False), {})
    computer._take_new(listed(2), {})
    assert computer.deeds.unexpected == []
