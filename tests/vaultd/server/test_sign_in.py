"""Who guesses is slowed down, and who has not signed in takes nothing from those who have."""

import os
from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.transport import ClientTransport
from tests.vaultd.operations.small_site import certificate_request
from tests.vaultd.server.conftest import Running, say_hello
from vaultd import offload
from vaultd.daemon.serve import _tls_context
from vaultd.errors import Throttled
from vaultd.server.guesses import LIMIT, Guesses


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic_seconds(self) -> float:
        return self.seconds

    def now_ns(self) -> int:
        return 0


async def refused_hello(connection: ClientTransport, token: bytes) -> ErrorCode:
    with pytest.raises(RemoteProtocolError) as caught:
        await say_hello(connection, token)
    return caught.value.code


async def test_wrong_tokens_are_throttled_by_address(running: Running) -> None:
    async with running.connect() as connection:
        codes = [await refused_hello(connection, os.urandom(32)) for _ in range(LIMIT.burst + 1)]
        assert codes == [ErrorCode.not_signed_in] * LIMIT.burst + [ErrorCode.throttled]
        assert await refused_hello(connection, os.urandom(32)) is ErrorCode.throttled


async def test_right_tokens_are_taken_beside_wrong_ones(running: Running) -> None:
    """From the same address: many people may be behind one."""
    for _ in range(LIMIT.burst):
        running.service.guesses.was_wrong("127.0.0.1")
    with pytest.raises(Throttled):
        running.service.guesses.was_wrong("127.0.0.1")
    async with running.connect_operator():
        pass


async def test_right_tokens_are_not(running: Running) -> None:
    for _ in range(2 * LIMIT.burst):
        async with running.connect_operator():
            pass


async def test_wrong_codes_are_throttled_by_address(running: Running) -> None:
    request = m.RegisterRequest(os.urandom(16), "pc", certificate_request()[0], bytes(1216))
    codes = []
    async with running.connect() as connection:
        await say_hello(connection)
        for _ in range(LIMIT.burst + 1):
            with pytest.raises(RemoteProtocolError) as caught:
                await connection.ask("register", request, m.RegisterAnswer)
            codes.append(caught.value.code)
    assert codes == [ErrorCode.not_allowed] * LIMIT.burst + [ErrorCode.throttled]


async def test_a_wrong_code_never_comes_to_the_write_thread(running: Running, nursery: trio.Nursery) -> None:
    standing = Event()
    nursery.start_soon(offload.write, standing.wait)
    request = m.RegisterRequest(os.urandom(16), "pc", certificate_request()[0], bytes(1216))
    try:
        async with running.connect() as connection:
            await say_hello(connection)
            with trio.fail_after(30), pytest.raises(RemoteProtocolError) as caught:
                await connection.ask("register", request, m.RegisterAnswer)
            assert caught.value.code is ErrorCode.not_allowed
    finally:
        standing.set()


async def test_slow_fetches_keep_nobody_from_signing_in(running: Running, nursery: trio.Nursery) -> None:
    standing = Event()
    for _ in range(2 * offload.READ_THREADS):
        nursery.start_soon(offload.read, standing.wait)
    await trio.testing.wait_all_tasks_blocked()
    try:
        with trio.fail_after(30):
            async with running.connect_operator():
                pass
    finally:
        standing.set()


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_an_ipv6_network_counts_as_one_address(first: str, second: str, is_same: bool) -> None:
    guesses = Guesses(Clock())
    for _ in range(LIMIT.burst):
        guesses.was_wrong(first)
    if is_same:
        with pytest.raises(Throttled):
            guesses.was_wrong(second)
    else:
        guesses.was_wrong(second)


def test_an_attempt_comes_back_with_time() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(LIMIT.burst):
        guesses.was_wrong("192.0.2.1")
    with pytest.raises(Throttled, match="too many wrong tokens or codes") as caught:
        guesses.was_wrong("192.0.2.1")
    assert caught.value.hint == "try again in 7 seconds"
    clock.seconds += LIMIT.refill_seconds
    guesses.was_wrong("192.0.2.1")


def limited(running: Running, **limits: int) -> None:
    config = replace(running.service.vault.config, **limits)
    running.listener._config = config
    object.__setattr__(running.service.vault, "config", config)


async def test_who_has_not_signed_in_has_a_smaller_room(running: Running) -> None:
    limited(running, connections_not_signed_in_max=8)  # a quarter for one address
    async with running.connect(), running.connect():
        with pytest.raises(ConnectionLost):
            async with running.connect():
                pass
    while running.service.sessions:
        await trio.lowlevel.checkpoint()
    async with running.connect_operator(), running.connect_operator(), running.connect(), running.connect():
        pass


async def test_too_many_signed_in_connections_are_told_so(running: Running) -> None:
    limited(running, connections_max=1)
    async with running.connect_operator(), running.connect() as second:
        assert await refused_hello(second, running.created.operator_token) is ErrorCode.unavailable
        assert (await say_hello(second)).role == "open"


@pytest.mark.parametrize(("setting", "version"), [("1.3", "TLSv1_3"), ("1.2", "TLSv1_2")])
async def test_the_setting_is_the_oldest_tls_that_is_taken(running: Running, setting: str, version: str) -> None:
    vault = running.service.vault
    configured = SimpleNamespace(config=replace(vault.config, tls_minimum=setting), authority=vault.authority)
    assert _tls_context(configured).minimum_version.name == version  # type: ignore[arg-type]
