"""Asks the vault again and again for something that another computer does, until it is over."""

from collections.abc import Callable, Iterator
from typing import TypeVar

Answer = TypeVar("Answer")

POLL_FIRST_SECONDS = 0.5
POLL_LAST_SECONDS = 15.0
POLL_GROWTH = 1.5
POLL_RUNNING_SECONDS = 1.0


def answers_until_end(
    ask: Callable[[], Answer], state_of: Callable[[Answer], str], sleep: Callable[[float], None]
) -> Iterator[Answer]:
    """The last one is the end.

    `ask` makes a connection of its own each time: a restart of the vault meanwhile is not the end of what it asks for.
    """
    pause_seconds = POLL_FIRST_SECONDS
    while True:
        answer = ask()
        yield answer
        if state_of(answer) not in ("waiting", "running"):
            return
        sleep(POLL_RUNNING_SECONDS if state_of(answer) == "running" else pause_seconds)
        pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_LAST_SECONDS)
