"""What an agent puts on the wire and what it is told, one line at a time, in a file that outlives a SIGKILL.

It changes nothing that the agent does. A record is written down before it is sent, an answer after it was received: so
what a killed agent knew is never more than what stands here, and what it had sent is never less.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from blake3 import blake3

from tests.independent.reader.record import parse_header
from tools.client import session

_ROOT_BYTES = 360


def install(path: Path) -> None:
    """From now on uploads and commits of this process are written down."""
    tap = _Tap(path)
    call, ask, ask_in_turn = session.VaultSession.call, session.VaultSession.ask, session.VaultSession.ask_in_turn

    def tapped_call(self: session.VaultSession, method: str, *, is_small: bool = False) -> Any:
        opened = call(self, method, is_small=is_small)
        if method != "chunk.upload":
            return opened
        lane = "little" if is_small else "bulk"
        tap.write({"begun": lane})  # its frames are numbered from 0 again
        return _TappedCall(opened, tap, lane)

    async def tapped_ask(self: session.VaultSession, method: str, *rest: Any) -> Any:
        answer = await ask(self, method, *rest)
        if method == "safeset.commit":
            tap.write({"committed": bytes(rest[2][:_ROOT_BYTES]).hex()})
        return answer

    async def tapped_ask_in_turn(self: session.VaultSession, question: Any, later: Any) -> Any:
        answers = await ask_in_turn(self, question, later)
        if question.method == "safeset.commit":
            tap.write({"committed": bytes(question.raw[:_ROOT_BYTES]).hex()})
        return answers

    session.VaultSession.call = tapped_call  # type: ignore[method-assign]
    session.VaultSession.ask = tapped_ask  # type: ignore[method-assign,assignment]
    session.VaultSession.ask_in_turn = tapped_ask_in_turn  # type: ignore[method-assign]


class _Tap:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, line: dict[str, Any]) -> None:
        os.write(self._descriptor, json.dumps(line).encode() + b"\n")

    def sent(self, lane: str, number: int, records: Iterable[Any]) -> None:
        rows = []
        for record in records:
            raw = bytes(record)
            header = parse_header(raw)
            rows.append([header.keyring.hex(), header.id.hex(), blake3(raw).hexdigest(), len(raw)])
        self.write({"sent": number, "lane": lane, "records": rows})


class _TappedCall:
    def __init__(self, call: Any, tap: _Tap, lane: str) -> None:
        self._call = call
        self._tap = tap
        self._lane = lane

    async def __aenter__(self) -> _TappedCall:
        await self._call.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._call.__aexit__(kind, error, trace)

    async def send(self, message: Any, raw: Any) -> None:
        self._tap.sent(self._lane, message.number, raw)
        await self._call.send(message, raw)

    async def receive(self, kind: Any) -> Any:
        received = await self._call.receive(kind)
        if received is not None:
            self._tap.write({"durable": received[0].number, "lane": self._lane})
        return received

    async def end(self) -> None:
        await self._call.end()
