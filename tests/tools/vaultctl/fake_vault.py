"""A vault for command tests: answers of a dictionary instead of a connection."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from protocol.codec import decode, encode
from protocol.methods import METHODS
from tools.client.session import Endpoint

Handler = Callable[[Any], msgspec.Struct]


class FakeVault:
    """Every message goes through the wire's encoding, so that one which could not be sent fails here too."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.asked: list[tuple[str, Any]] = []
        self.endpoints: list[Endpoint] = []

    def on(self, method: str, handler: Handler) -> None:
        self.handlers[method] = handler

    @asynccontextmanager
    async def connect(self, endpoint: Endpoint, program: str) -> AsyncIterator["FakeVault"]:
        self.endpoints.append(endpoint)
        yield self

    async def ask(
        self, method: str, request: msgspec.Struct, answer_type: type[msgspec.Struct], raw: bytes = b""
    ) -> tuple[msgspec.Struct, bytes]:
        received = decode(encode(request), METHODS[method].request)
        self.asked.append((method, received))
        assert answer_type is METHODS[method].answer
        return decode(encode(self.handlers[method](received)), answer_type), b""

    def requests(self, method: str) -> list[Any]:
        return [request for name, request in self.asked if name == method]
