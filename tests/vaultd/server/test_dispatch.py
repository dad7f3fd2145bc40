"""Who may call what, and what a client sees of every error."""

import msgspec
import pytest
import trio

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.methods import METHODS, Direction
from tests.vaultd.server.conftest import Running, say_hello
from vaultd.errors import NoSpace, Unavailable
from vaultd.server import dispatch
from vaultd.server.request import Request


class Anything(msgspec.Struct):
    """A message with a field that no method knows."""

    colour: str = "red"


async def refused(connection: object, method: str, message: msgspec.Struct) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        await connection.ask(method, message, m.VaultStatus)  # type: ignore[attr-defined]
    return caught.value


def test_every_method_of_the_registry_has_one_handler() -> None:
    asked = {name for name, method in METHODS.items() if method.direction is Direction.ask} - {"hello"}
    assert set(dispatch.ASKED) == asked
    assert set(dispatch.STREAMED) == set(METHODS) - asked - {"hello"}


async def test_the_first_request_must_be_hello(running: Running) -> None:
    async with running.connect() as connection:
        error = await refused(connection, "authority", m.AuthorityRequest())
    assert error.code is ErrorCode.not_signed_in


async def test_without_a_token_only_open_methods_answer(running: Running) -> None:
    async with running.connect() as connection:
        assert (await say_hello(connection)).role == "open"
        answer, _ = await connection.ask("authority", m.AuthorityRequest(), m.AuthorityAnswer)
        assert answer.certificate_pem == running.created.authority_pem
        error = await refused(connection, "vault.status", m.VaultStatusRequest())
    assert error.code is ErrorCode.not_signed_in


async def test_hello_tells_who_the_vault_is_and_who_the_caller_is(running: Running) -> None:
    async with running.connect() as connection:
        answer = await say_hello(connection, running.created.operator_token)
    assert (answer.version, answer.vault_id, answer.role) == (2, running.created.vault_id, "operator")


async def test_identity_is_fixed_at_hello(running: Running) -> None:
    async with running.connect() as connection:
        await say_hello(connection)
        error = await refused(connection, "hello", m.HelloRequest([1], "test", "0", running.created.operator_token))
        assert error.code is ErrorCode.conflict
        error = await refused(connection, "vault.status", m.VaultStatusRequest())
        assert error.code is ErrorCode.not_signed_in


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("disk.list", m.DiskListRequest()),
        ("disk.hit", m.DiskHitRequest("1")),
        ("disk.lost", m.DiskLostRequest("1", False)),
        ("scrub.begin", m.ScrubBeginRequest()),
        ("scrub.hit", m.ScrubHitRequest()),
    ],
)
async def test_the_disks_are_the_operators_alone(running: Running, method: str, request_: msgspec.Struct) -> None:
    async with running.connect() as connection:
        await say_hello(connection, running.created.operator_token)
        made, _ = await connection.ask("account.create", m.AccountCreateRequest("disks"), m.AccountCreateAnswer)
    async with running.connect() as connection:
        await say_hello(connection, made.token)
        error = await refused(connection, method, request_)
    assert error.code is ErrorCode.not_allowed


async def test_an_unknown_token_is_refused_and_the_connection_stays_open_for_hello(running: Running) -> None:
    async with running.connect() as connection:
        error = await refused(connection, "hello", m.HelloRequest([1], "test", "0", bytes(32)))
        assert error.code is ErrorCode.not_signed_in
        assert (await say_hello(connection, running.created.operator_token)).role == "operator"


async def test_no_common_version(running: Running) -> None:
    async with running.connect() as connection:
        error = await refused(connection, "hello", m.HelloRequest([7, 8], "test", "0"))
    assert (error.code, error.message) == (ErrorCode.unsupported_version, "the vault speaks version 2, 1")


async def test_the_vault_speaks_the_newest_version_that_the_client_offers(running: Running) -> None:
    for offered, chosen in (([1], 1), ([2], 2), ([2, 1], 2), ([9, 1], 1)):
        async with running.connect() as connection:
            answer, _ = await connection.ask("hello", m.HelloRequest(offered, "test", "0"), m.HelloAnswer)
        assert answer.version == chosen


async def test_an_operator_is_no_administrator_and_no_agent(running: Running) -> None:
    async with running.connect_operator() as connection:
        for method, message in (
            ("computer.list", m.ComputerListRequest()),
            ("agent.jobs", m.AgentJobsRequest()),
            ("chunk.fetch", m.ChunkFetchRequest(bytes(16))),
        ):
            assert (await refused(connection, method, message)).code is ErrorCode.not_allowed


async def test_a_refused_role_is_told_which_context_to_use(running: Running) -> None:
    """What of `account` is asked by an operator is an administrator's."""
    async with running.connect_operator() as connection:
        for method, message in (
            ("computer.list", m.ComputerListRequest()),
            ("job.list", m.JobListRequest("office-1")),
        ):
            told = await refused(connection, method, message)
            assert told.hint == "use the administrator's context (made by `vaultctl account create`)"


async def test_an_administrator_sees_only_the_own_account(running: Running) -> None:
    async with running.connect_operator() as operator:
        created, _ = await operator.ask("account.create", m.AccountCreateRequest("A"), m.AccountCreateAnswer)
        again = await refused(operator, "account.create", m.AccountCreateRequest("A"))
        assert again.code is ErrorCode.conflict
    async with running.connect() as connection:
        assert (await say_hello(connection, created.token)).role == "administrator"
        listed, _ = await connection.ask("computer.list", m.ComputerListRequest(), m.ComputerListAnswer)
        assert listed.computers == []
        assert (await refused(connection, "account.list", m.AccountListRequest())).code is ErrorCode.not_allowed
        missing = await refused(connection, "computer.show", m.ComputerShowRequest("nobody"))
        assert missing.code is ErrorCode.not_found
        assert "'nobody'" in missing.message


async def test_an_unknown_field_is_named(running: Running) -> None:
    async with running.connect_operator() as connection:
        error = await refused(connection, "account.list", Anything())
    assert error.code is ErrorCode.bad_request
    assert "unknown field colour" in error.message


async def test_an_unknown_method_is_refused(running: Running) -> None:
    async with running.connect_operator() as connection:
        error = await refused(connection, "account.paint", Anything())
    assert error.code is ErrorCode.unknown_method
    assert "account.paint" in error.message


async def test_what_nobody_expected_shows_an_id_and_nothing_else(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(_request: Request) -> msgspec.Struct:
        raise ValueError("inner secret")

    monkeypatch.setitem(dispatch.ASKED, "vault.status", fail)
    async with running.connect_operator() as connection:
        error = await refused(connection, "vault.status", m.VaultStatusRequest())
    assert error.code is ErrorCode.internal
    assert "inner secret" not in str(error)
    error_id = error.message.partition("(error ")[2].partition(")")[0]
    printed = capsys.readouterr()
    assert len(error_id) == 8
    assert error_id in printed.out + printed.err


async def test_an_error_that_is_no_disk_error_does_not_stop_the_daemon(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_request: Request) -> msgspec.Struct:
        raise NoSpace("the vault has no room left", "the operator adds a disk")

    monkeypatch.setitem(dispatch.ASKED, "vault.status", refuse)
    async with running.connect_operator() as connection:
        error = await refused(connection, "vault.status", m.VaultStatusRequest())
    assert (error.code, error.hint) == (ErrorCode.no_space, "the operator adds a disk")
    assert not running.service.stop.is_set()


async def test_a_disk_error_answers_unavailable_and_stops_the_daemon(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_request: Request) -> msgspec.Struct:
        running.service.vault.store._broken = "a write failed"
        raise Unavailable("the store stopped")

    monkeypatch.setitem(dispatch.ASKED, "vault.status", fail)
    async with running.connect_operator() as connection:
        error = await refused(connection, "vault.status", m.VaultStatusRequest())
    assert error.code is ErrorCode.unavailable
    with trio.fail_after(5):
        await running.service.store_stopped.wait()
    assert running.service.stop.is_set()


async def test_a_refusal_for_lack_of_room_is_in_the_log_as_a_warning(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(_request: Request) -> msgspec.Struct:
        raise NoSpace("the vault has no room left") from RuntimeError("/srv/b has no room")

    monkeypatch.setitem(dispatch.ASKED, "vault.status", refuse)
    async with running.connect_operator() as connection:
        for _ in range(2):
            await refused(connection, "vault.status", m.VaultStatusRequest())
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("/srv/b has no room") == 1
