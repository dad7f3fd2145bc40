"""What a session sends before the answer to something else: the stand-in answers only when all of it has come."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from protocol.transport import Exchange
from tests.support.certificates import Authority, create_authority
from tests.tools.client.test_session import Vault, fetch, serving
from tools.client.question import Question
from tools.client.session import Endpoint, VaultSession, connect

JOBS = Question("agent.jobs", m.AgentJobsRequest(), m.AgentJobsAnswer)
BEGIN = Question("run.begin", m.RunBeginRequest(bytes(16), bytes(16), None), m.RunBeginAnswer)
KEY = Question("run.key", m.RunKeyRequest(bytes(16), bytes(62)), m.RunKeyAnswer)
BEGUN = m.RunBeginAnswer(False, 1, 0, bytes(32), 1)
PATIENCE_SECONDS = 10  # of a test whose requests wait for each other


class Gathering(Vault):
    """Answers nothing of `together` before all of it has come."""

    def __init__(self, authority: Authority, together: set[str], refuse: str = "") -> None:
        super().__init__(authority)
        self.together = together
        self.refuse = refuse
        self.unknown_first: list[str] = []
        self.came: list[str] = []
        self.streams: dict[int, str] = {}
        self.all_came = trio.Event()

    async def handle(self, exchange: Exchange) -> None:
        self.came.append(exchange.method)
        self.streams[exchange.stream_id] = exchange.method
        if self.together <= set(self.came):
            self.all_came.set()
        if exchange.method in self.together:
            await self.all_came.wait()
        if exchange.method in self.unknown_first:
            self.unknown_first.remove(exchange.method)
            raise RemoteProtocolError(ErrorCode.not_signed_in, "nobody", "")
        if exchange.method == self.refuse:
            raise RemoteProtocolError(ErrorCode.conflict, "no", "")
        answers = {"agent.jobs": m.AgentJobsAnswer([]), "run.begin": BEGUN, "run.key": m.RunKeyAnswer()}
        if exchange.method in answers:
            await exchange.receive_frame()
            await exchange.send_message(answers[exchange.method])
            return
        await super().handle(exchange)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return create_authority()


@pytest.fixture
async def vault(authority: Authority, tmp_path: Path) -> AsyncIterator[Gathering]:
    async with serving(Gathering(authority, set()), authority.issue(tmp_path, "vault.test")) as found:
        assert isinstance(found, Gathering)
        yield found


def endpoint(vault: Vault) -> Endpoint:
    return Endpoint(vault.url, vault.authority.pem)


async def in_turn(found: VaultSession) -> tuple[m.RunBeginAnswer, m.RunKeyAnswer | RemoteProtocolError]:
    answer, wait_later = await found.ask_in_turn(BEGIN, KEY)
    return answer, await wait_later()


async def test_the_first_question_is_sent_with_hello_and_asked_once(vault: Gathering) -> None:
    vault.together = {"hello", "agent.jobs"}
    with trio.fail_after(PATIENCE_SECONDS):
        async with connect(endpoint(vault), "tests", first=JOBS) as found:
            for _ in range(2):
                assert (await found.ask(JOBS.method, JOBS.request, JOBS.answer_type))[0].jobs == []
    assert sorted(vault.came) == ["agent.jobs", "agent.jobs", "hello"]


async def test_another_question_than_the_first_is_asked_all_the_same(vault: Gathering) -> None:
    async with connect(endpoint(vault), "tests", first=KEY) as found:
        assert (await found.ask(JOBS.method, JOBS.request, JOBS.answer_type))[0].jobs == []


async def test_two_questions_take_one_round_trip(vault: Gathering) -> None:
    vault.together = {"run.begin", "run.key"}
    with trio.fail_after(PATIENCE_SECONDS):
        async with connect(endpoint(vault), "tests") as found:
            assert await in_turn(found) == (BEGUN, m.RunKeyAnswer())
    assert [vault.streams[number] for number in sorted(vault.streams)] == ["hello", "run.begin", "run.key"]


async def test_a_vault_of_version_1_gets_the_later_question_after_its_answer(vault: Gathering) -> None:
    vault.version = 1
    vault.together = {"run.begin", "let go"}
    found_before: list[str] = []

    async def let_go() -> None:
        await trio.testing.wait_all_tasks_blocked(0.05)
        found_before.extend(vault.came)
        vault.all_came.set()

    with trio.fail_after(PATIENCE_SECONDS):
        async with connect(endpoint(vault), "tests") as found, trio.open_nursery() as nursery:
            nursery.start_soon(let_go)
            assert await in_turn(found) == (BEGUN, m.RunKeyAnswer())
            assert (found_before, vault.came) == (["hello", "run.begin"], ["hello", "run.begin", "run.key"])
            vault.refuse = "run.key"
            _, later = await in_turn(found)
            assert isinstance(later, RemoteProtocolError)


async def test_a_first_question_that_was_taken_before_hello_is_asked_again(vault: Gathering) -> None:
    """As a vault of version 1 may take it."""
    vault.version = 1
    vault.unknown_first = ["agent.jobs"]
    async with connect(endpoint(vault), "tests", first=JOBS) as found:
        assert (await found.ask(JOBS.method, JOBS.request, JOBS.answer_type))[0].jobs == []
    assert sorted(vault.came) == ["agent.jobs", "agent.jobs", "hello"]


async def test_another_error_of_the_first_question_is_told(vault: Gathering) -> None:
    vault.refuse = "agent.jobs"
    async with connect(endpoint(vault), "tests", first=JOBS) as found:
        with pytest.raises(RemoteProtocolError, match="no"):
            await found.ask(JOBS.method, JOBS.request, JOBS.answer_type)
    assert sorted(vault.came) == ["agent.jobs", "hello"]


async def test_an_error_of_the_later_question_stands_in_its_place(vault: Gathering) -> None:
    vault.refuse = "run.key"
    async with connect(endpoint(vault), "tests") as found:
        answer, later = await in_turn(found)
    assert (answer, isinstance(later, RemoteProtocolError)) == (BEGUN, True)
    vault.refuse = "run.begin"
    async with connect(endpoint(vault), "tests") as found:
        with pytest.raises(RemoteProtocolError, match="no"):
            await found.ask_in_turn(BEGIN, KEY)


async def test_the_answer_is_there_before_that_of_the_later_question(vault: Gathering) -> None:
    vault.together = {"run.key", "let go"}
    with trio.fail_after(PATIENCE_SECONDS):
        async with connect(endpoint(vault), "tests") as found:
            answer, wait_later = await found.ask_in_turn(BEGIN, KEY)
            vault.all_came.set()
            assert (answer, await wait_later()) == (BEGUN, m.RunKeyAnswer())


async def fetch_few(found: VaultSession) -> None:
    async with found.call("chunk.fetch", is_small=True) as call:
        await call.send(m.ChunkFetchRequest(bytes(16)))
        assert await call.receive(m.FetchBatch) == (m.FetchBatch([], [], []), b"")


async def test_what_is_small_needs_no_connection_of_its_own(vault: Gathering) -> None:
    async with connect(endpoint(vault), "tests") as found:
        await fetch_few(found)
        assert len(vault.hellos) == 1
        await fetch(found)
        await fetch_few(found)
    assert len(vault.hellos) == 2
    small, bulk, small_again = vault.fetches_over
    assert (small is bulk, small_again is bulk) == (False, True)


async def test_what_is_small_takes_the_other_connection_where_the_first_is_gone(vault: Gathering) -> None:
    """The vault ends the first one where nothing is asked over it for long."""
    async with connect(endpoint(vault), "tests") as found:
        await fetch_few(found)
        vault.fetches_over[0].abort(ConnectionLost("idle"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        await fetch_few(found)
    assert len(vault.hellos) == 2


async def test_a_connection_that_is_expected_is_made_beside_other_questions(vault: Gathering) -> None:
    vault.together = {"hello-2", "run.begin"}
    real = vault.hello

    def hello(request: m.HelloRequest) -> m.HelloAnswer:
        if vault.hellos:
            vault.came.append("hello-2")
            vault.all_came.set()
        return real(request)

    vault.hello = hello  # type: ignore[method-assign]
    with trio.fail_after(PATIENCE_SECONDS):
        async with connect(endpoint(vault), "tests") as found:
            found.expect_bulk()
            found.expect_bulk()
            assert (await found.ask(BEGIN.method, BEGIN.request, BEGIN.answer_type))[0] == BEGUN
            await fetch(found)
    assert len(vault.hellos) == 2


async def test_a_session_ends_while_the_other_connection_is_being_made(vault: Gathering) -> None:
    """Nobody waits for it, and nobody is told that it could not be had."""
    vault.together = {"hello", "never"}
    vault.came.append("never")
    async with connect(endpoint(vault), "tests") as found:
        vault.came.clear()
        vault.all_came = trio.Event()
        found.expect_bulk()
        while vault.came != ["hello"]:
            await trio.lowlevel.checkpoint()
