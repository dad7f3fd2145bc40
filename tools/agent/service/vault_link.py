"""The lasting connection with the vault: made anew for ever, and one question open on it that is answered when there
is work.

A link that was cut, or a computer that slept, is noticed by the silence of that question (protocol/liveness.py).
"""

import random
from collections.abc import Callable
from typing import NoReturn

import trio

from protocol.errors import RemoteProtocolError
from protocol.messages import AgentWorkAnswer, AgentWorkRequest
from tools.client.failure import Failure, describe, first_cause
from tools.client.session import Endpoint, VaultSession, connect

PAUSE_FIRST_SECONDS = 1.0
PAUSE_LAST_SECONDS = 60.0
# No later attempt changes these: the computer was removed, or its key is not the one that is known.
_FINAL = ("not_signed_in", "not_allowed")

Say = Callable[[str], None]


class Pauses:
    """Doubling, each shortened by chance down to its half, so that many agents do not come at once."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._next_seconds = PAUSE_FIRST_SECONDS

    def reset(self) -> None:
        self._next_seconds = PAUSE_FIRST_SECONDS

    def next(self) -> float:
        pause_seconds = self._next_seconds
        self._next_seconds = min(2 * pause_seconds, PAUSE_LAST_SECONDS)
        return pause_seconds * (0.5 + self._chance() / 2)


class VaultLink:
    def __init__(self, endpoint: Endpoint, program: str, take: Callable[[AgentWorkAnswer], None], say: Say) -> None:
        self._endpoint = endpoint
        self._program = program
        self._take = take
        self._say = say
        self._pauses = Pauses()
        self._said = ""

    async def keep(self) -> NoReturn:
        """Raises a Failure only where the vault says that this computer is nobody any more."""
        while True:
            failure = await self._connected_once()
            if failure.code in _FINAL:
                raise failure
            self._tell(f"no connection with the vault, tried again: {failure.message}")
            await trio.sleep(self._pauses.next())

    async def _connected_once(self) -> Failure:
        """Why the connection ended, or was never made."""
        try:
            async with connect(self._endpoint, self._program, pauses_seconds=()) as session:
                await self._listen(session)
        except (Failure, RemoteProtocolError, OSError) as error:
            return describe(error)
        except ExceptionGroup as group:
            if not isinstance(first_cause(group), Failure | RemoteProtocolError | OSError):
                raise
            return describe(group)
        raise AssertionError("it listens until an error ends it")

    async def _listen(self, session: VaultSession) -> NoReturn:
        """A new connection begins with everything that waits: nothing of an earlier one is needed."""
        is_new = True
        while True:
            answer, _ = await session.ask("agent.work", AgentWorkRequest(is_new), AgentWorkAnswer)
            if is_new:
                self._pauses.reset()
                self._tell("connected to the vault")
            self._take(answer)
            is_new = session.is_lost

    def _tell(self, sentence: str) -> None:
        """Once each time that it changes, not at each attempt."""
        if sentence != self._said:
            self._said = sentence
            self._say(sentence)
