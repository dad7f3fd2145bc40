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
from vaultd.records import Identity, Role
from vaultd.server.network import network_of
from vaultd.server.session import Session
from vaultd.server.throttle import INVITATIONS, WRONG_GUESSES, Throttle

LIMIT = WRONG_GUESSES.limit


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
        running.service.guesses.count("127.0.0.1")
    with pytest.raises(Throttled):
        running.service.guesses.count("127.0.0.1")
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
    assert (network_of(first) == network_of(second)) is is_same


def test_an_attempt_comes_back_with_time() -> None:
    clock = Clock()
    guesses = Throttle(clock, WRONG_GUESSES)  # type: ignore[arg-type]
    for _ in range(LIMIT.burst):
        guesses.count("192.0.2.1")
    with pytest.raises(Throttled, match="too many wrong tokens or codes") as caught:
        guesses.count("192.0.2.1")
    assert caught.value.hint == "try again in 7 seconds"
    clock.seconds += LIMIT.refill_seconds
    guesses.count("192.0.2.1")


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
    account = await join(running, "one")
    limited(running, connections_max=1)
    async with running.connect_operator(), running.connect() as second:
        assert await refused_hello(second, account.token) is ErrorCode.unavailable
        assert (await say_hello(second)).role == "open"


@pytest.mark.parametrize(("setting", "version"), [("1.3", "TLSv1_3"), ("1.2", "TLSv1_2")])
async def test_the_setting_is_the_oldest_tls_that_is_taken(running: Running, setting: str, version: str) -> None:
    vault = running.service.vault
    configured = SimpleNamespace(config=replace(vault.config, tls_minimum=setting), authority=vault.authority)
    assert _tls_context(configured).minimum_version.name == version  # type: ignore[arg-type]


async def test_one_network_takes_a_quarter_of_the_room_of_strangers(running: Running) -> None:
    room = running.service.vault.config.connections_not_signed_in_max
    for number in range(room // 4):
        running.service.sessions.add(Session(f"2001:db8::{number:x}"))
    try:
        assert running.listener._is_full(network_of("2001:db8::ffff"))
        assert not running.listener._is_full(network_of("2001:db8:0:1::1"))
    finally:
        running.service.sessions.clear()


async def join(running: Running, name: str) -> m.AccountCreateAnswer:
    async with running.connect_operator() as operator:
        answer, _ = await operator.ask("account.create", m.AccountCreateRequest(name), m.AccountCreateAnswer)
    return answer


def signed_in(account_id: bytes) -> Session:
    session = Session("192.0.2.7")
    session.greet(Identity(account_id, account_id, Role.ADMINISTRATOR, "ann"))
    return session


@pytest.mark.parametrize(("taken", "is_refused"), [(63, False), (64, True)])
async def test_one_account_takes_a_part_of_the_connections(running: Running, taken: int, is_refused: bool) -> None:
    limited(running, connections_max=100, connections_per_address_max=1000)
    one, other = await join(running, "one"), await join(running, "other")
    running.service.sessions.update({signed_in(one.account_id) for _ in range(taken)})
    async with running.connect() as connection:
        if is_refused:
            assert await refused_hello(connection, one.token) is ErrorCode.unavailable
        else:
            assert (await say_hello(connection, one.token)).role == "administrator"
    async with running.connect() as connection:
        assert (await say_hello(connection, other.token)).role == "administrator"


async def test_operators_sign_in_when_all_places_are_taken(running: Running) -> None:
    limited(running, connections_max=4, connections_per_address_max=1000)
    account = await join(running, "one")
    running.service.sessions.update({signed_in(bytes([number]) * 16) for number in range(4)})
    async with running.connect() as connection, running.connect_operator():
        assert await refused_hello(connection, account.token) is ErrorCode.unavailable


async def test_invitations_are_throttled_by_account(running: Running) -> None:
    one, other = await join(running, "one"), await join(running, "other")
    for _ in range(INVITATIONS.limit.burst):
        running.service.invitations.count(one.account_id)
    async with running.connect() as connection:
        await say_hello(connection, one.token)
        with pytest.raises(RemoteProtocolError) as caught:
            await connection.ask("computer.invite", m.ComputerInviteRequest("pc"), m.ComputerInviteAnswer)
        assert caught.value.code is ErrorCode.throttled
    async with running.connect() as connection:
        await say_hello(connection, other.token)
        await connection.ask("computer.invite", m.ComputerInviteRequest("pc"), m.ComputerInviteAnswer)
