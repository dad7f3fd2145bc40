"""A vault that is full says so in its log, at times and not for each request."""

from typing import Any

import pytest

from vaultd.clock import FixedClock
from vaultd.errors import NoSpace
from vaultd.server import room_notice


def refused() -> NoSpace:
    error = NoSpace("the vault has no room left")
    error.__cause__ = RuntimeError("/srv/b has no room")
    return error


def test_lack_of_room_is_told_once_in_five_minutes_with_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    class Log:
        def warning(self, event: str, **fields: Any) -> None:
            told.append({"event": event} | fields)

    monkeypatch.setattr(room_notice, "log", Log())
    clock = FixedClock()
    notice = room_notice.RoomNotice(clock)
    for _ in range(100):
        notice.tell(refused())
    assert told == [{"event": "no room", "problem": "/srv/b has no room"}]
    clock.advance(299)
    notice.tell(refused())
    assert len(told) == 1
    clock.advance(2)
    notice.tell(refused())
    assert len(told) == 2
