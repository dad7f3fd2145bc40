"""Sessions over loopback TLS: whom a client trusts, what it says when it cannot connect, and the first contact."""

import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from protocol import messages as m
from protocol.codec import decode
from protocol.connection import ServerConnection
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.transport import Exchange, ServerTransport, server_tls_context
from tests.support.certificates import Authority, create_authority
from tools.client import calls, session
from tools.client.failure import Failure
from tools.client.first_contact import fetch_authority
from tools.client.question import Question
from tools.client.session import Endpoint, VaultSession, address_of, connect

TOKEN = bytes.fromhex("5e" * 32)
ACCOUNTS = m.AccountListAnswer([m.AccountSummary(bytes(16), "Example GmbH", 1, 1, 0, 0, 0, 0)])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PAUSES_SECONDS", (0.0,))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return create_authority()


class Vault:
    """Answers hello, authority and account.list; the token above signs in."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.hellos: list[m.HelloRequest] = []
        self.fetches_over: list[ServerConnection] = []
        self.asked_over: list[ServerConnection] = []
        self.is_tired = False  # ends a connection instead of an answer
        self.url = ""
        self.version = 2
        self.authority_text = authority.pem

    async def handle(self, exchange: Exchange) -> None:
        frame = await exchange.receive_frame()
        assert frame is not None
        if exchange.method == "account.list":
            assert exchange.connection not in self.fetches_over
        match exchange.method:
            case "hello":
                await exchange.send_message(self.hello(decode(frame.header, m.HelloRequest)))
            case "authority":
                await exchange.send_message(m.AuthorityAnswer(self.authority_text))
            case "account.list":
                self.asked_over.append(exchange.connection)
                if self.is_tired:
                    exchange.connection.abort(ConnectionLost("tired"))
                await exchange.send_message(ACCOUNTS)
            case "chunk.fetch":
                self.fetches_over.append(exchange.connection)
                await exchange.send_message(m.FetchBatch([], [], []))

    def hello(self, request: m.HelloRequest) -> m.HelloAnswer:
        self.hellos.append(request)
        if request.token not in (None, TOKEN):
            raise RemoteProtocolError(ErrorCode.not_signed_in, "the token is unknown", "ask for a new one")
        return m.HelloAnswer(self.version, bytes(16), "north", "here", 1, "operator" if request.token else "open")


@asynccontextmanager
async def serving(vault: Vault, files: tuple[str, str]) -> AsyncIterator[Vault]:
    context = server_tls_context(*files, vault.authority.pem)

    async def serve(stream: trio.SocketStream) -> None:
        try:
            await ServerTransport().serve(stream, context, vault.handle)
        except ConnectionLost:
            return

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        vault.url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield vault
        nursery.cancel_scope.cancel()


@pytest.fixture
async def vault(authority: Authority, tmp_path: Path) -> AsyncIterator[Vault]:
    async with serving(Vault(authority), authority.issue(tmp_path, "vault.test")) as found:
        yield found


async def test_a_token_signs_in_and_questions_are_answered(vault: Vault) -> None:
    async with connect(Endpoint(vault.url, vault.authority.pem, TOKEN), "tests") as found:
        assert found.hello.role == "operator"
        assert await calls.list_accounts(found) == ACCOUNTS
    assert (vault.hellos[0].versions, vault.hellos[0].program) == ([2, 1], "tests")


async def fetch(found: VaultSession) -> None:
    async with found.call("chunk.fetch") as call:
        await call.send(m.ChunkFetchRequest(bytes(16)))
        assert await call.receive(m.FetchBatch) == (m.FetchBatch([], [], []), b"")


async def test_requests_of_many_frames_have_a_connection_of_their_own(vault: Vault) -> None:
    async with connect(Endpoint(vault.url, vault.authority.pem, TOKEN), "tests") as found:
        await fetch(found)
        await fetch(found)
        assert await calls.list_accounts(found) == ACCOUNTS
    assert [hello.token for hello in vault.hellos] == [TOKEN, TOKEN]
    assert vault.fetches_over[0] is vault.fetches_over[1]


async def test_that_connection_is_made_anew_when_the_vault_ended_it(vault: Vault) -> None:
    async with connect(Endpoint(vault.url, vault.authority.pem, TOKEN), "tests") as found:
        await fetch(found)
        vault.fetches_over[0].abort(ConnectionLost("idle"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        await fetch(found)
        assert await calls.list_accounts(found) == ACCOUNTS
    assert len(vault.hellos) == 3


async def lose(found: VaultSession, vault: Vault) -> None:
    vault.asked_over[-1].abort(ConnectionLost("the link was cut"))
    while not found.is_lost:
        await trio.testing.wait_all_tasks_blocked(0.01)


async def test_a_question_after_the_connection_was_lost_goes_over_another_one(vault: Vault) -> None:
    async with connect(Endpoint(vault.url, vault.authority.pem, TOKEN), "tests") as found:
        await fetch(found)
        await calls.list_accounts(found)
        await lose(found, vault)
        vault.version = 1
        for _ in range(2):
            assert await calls.list_accounts(found) == ACCOUNTS
            assert not found.is_lost
        assert found.hello.version == 1
    assert [hello.token for hello in vault.hellos] == [TOKEN] * 3
    first, second, third = vault.asked_over
    assert first is not second
    assert second is third
    assert second not in vault.fetches_over


async def test_two_questions_in_turn_go_over_another_one_too(vault: Vault) -> None:
    question = Question("account.list", m.AccountListRequest(), m.AccountListAnswer)
    async with connect(Endpoint(vault.url, vault.authority.pem, TOKEN), "tests") as found:
        await calls.list_accounts(found)
        await lose(found, vault)
        answer, wait_later = await found.ask_in_turn(question, question)
        assert [answer, await wait_later()] == [ACCOUNTS, ACCOUNTS]
    assert len(vault.hellos) == 2


async def test_a_question_that_was_lost_on_its_way_is_not_repeated(vault: Vault) -> None:
    vault.is_tired = True
    async with connect(Endpoint(vault.url, vault.authority.pem, TOKEN), "tests") as found:
        with pytest.raises(ConnectionLost):
            await calls.list_accounts(found)
    assert (len(vault.asked_over), len(vault.hellos)) == (1, 1)


async def test_who_is_removed_meanwhile_is_told_by_the_other_connection(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: m.HelloRequest) -> m.HelloAnswer:
        raise RemoteProtocolError(ErrorCode.not_signed_in, "the computer was removed")

    async with connect(Endpoint(vault.url, vault.authority.pem, TOKEN), "tests") as found:
        await calls.list_accounts(found)
        await lose(found, vault)
        monkeypatch.setattr(vault, "hello", refuse)
        with pytest.raises(RemoteProtocolError, match="the computer was removed"):
            await calls.list_accounts(found)
    assert len(vault.asked_over) == 1


async def test_an_unknown_token_is_the_vaults_own_error_and_asked_once(vault: Vault) -> None:
    with pytest.raises(RemoteProtocolError, match="the token is unknown") as caught:
        async with connect(Endpoint(vault.url, vault.authority.pem, bytes(32)), "tests"):
            pass
    assert caught.value.code is ErrorCode.not_signed_in
    assert len(vault.hellos) == 1


async def test_errors_of_the_body_come_out_as_they_are(vault: Vault) -> None:
    with pytest.raises(KeyError):
        async with connect(Endpoint(vault.url, vault.authority.pem), "tests"):
            raise KeyError("body")


async def test_another_authority_is_not_the_vault(vault: Vault) -> None:
    with pytest.raises(Failure, match="is not the vault that is known here") as caught:
        async with connect(Endpoint(vault.url, create_authority().pem, TOKEN), "tests"):
            pass
    assert (caught.value.code, caught.value.exit_code) == ("unreachable", 8)
    assert vault.hellos == []


async def test_dates_are_not_judged(authority: Authority, tmp_path: Path) -> None:
    """A computer with a wrong clock must still back up."""
    async with serving(Vault(authority), authority.issue(tmp_path, "vault.test", days=1)) as vault:
        async with connect(Endpoint(vault.url, authority.pem, TOKEN), "tests") as found:
            assert found.hello.vault_name == "north"


async def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Failure, match=f"127.0.0.1:{port} cannot be reached: Connection refused$") as caught:
            async with connect(Endpoint(f"https://127.0.0.1:{port}", create_authority().pem), "tests"):
                pass
    assert caught.value.exit_code == 8
    assert "running" in caught.value.hint


async def test_the_vault_comes_back_within_the_attempts(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0
    real = session.open_connection

    async def away_once(*arguments: object) -> object:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionLost("nobody there")
        return await real(*arguments)

    monkeypatch.setattr(session, "open_connection", away_once)
    async with connect(Endpoint(vault.url, vault.authority.pem, TOKEN), "tests"):
        assert attempts == 2


async def test_first_contact_takes_the_authority_of_the_code(vault: Vault) -> None:
    fingerprint = hashlib.sha256(vault.authority.der).digest()[:20]
    assert await fetch_authority(vault.url, fingerprint) == vault.authority.pem
    assert vault.hellos[0].token is None


async def test_first_contact_takes_one_certificate_and_nothing_beside_it(vault: Vault) -> None:
    vault.authority_text = vault.authority.pem + create_authority().pem
    with pytest.raises(Failure):
        await fetch_authority(vault.url, hashlib.sha256(vault.authority.der).digest()[:20])


@pytest.mark.parametrize("fingerprint", [bytes(20), b""])
async def test_first_contact_refuses_another_authority(vault: Vault, fingerprint: bytes) -> None:
    with pytest.raises(Failure, match="not the vault that made the invite code") as caught:
        await fetch_authority(vault.url, fingerprint)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://vault.example:1234", ("vault.example", 1234)),
        ("https://vault.example/", ("vault.example", 8443)),
        ("https://[::1]:99", ("::1", 99)),
    ],
)
def test_addresses(url: str, address: tuple[str, int]) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url", ["", "vault.example:1", "http://a:1", "https://", "https://a:99999", "https://a/b", "https://u@a"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(Failure, match="not the URL of a vault"):
        address_of(url)
