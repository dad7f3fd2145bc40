"""What an agent tells its vault while a run lasts, for whoever waits elsewhere; it never costs the run."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.tools.agent.conftest import Site
from tools.agent.scan.scan import Scanner

Told = Callable[[m.RunProgressRequest], None]


@pytest.fixture
def hold_until(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[list[m.RunProgressRequest]], bool], Told], None]:
    """The scan found everything and goes on when enough was told. The clock jumps while its thread is busy: hours for
    the session, no time for the test.
    """
    enough, real_batch = threading.Event(), Scanner.next_batch
    (site.source / "file").write_bytes(b"12345")

    def hold(is_enough: Callable[[list[m.RunProgressRequest]], bool], answer: Told) -> None:
        def run_progress(request: m.RunProgressRequest, raw: bytes) -> tuple[Any, bytes]:
            site.vault.told.append(request)
            if is_enough(site.vault.told):
                enough.set()
            answer(request)
            return m.RunProgressAnswer(), b""

        def slow_batch(scanner: Scanner) -> Any:
            batch = real_batch(scanner)
            assert batch is not None or enough.wait(30)
            return batch

        monkeypatch.setattr(site.vault, "_run_progress", run_progress)
        monkeypatch.setattr(Scanner, "next_batch", slow_batch)

    return hold


async def test_a_run_tells_how_far_it_is_and_so_keeps_its_connection(
    site: Site, hold_until: Any, autojump_clock: MockClock
) -> None:
    """The vault ends a connection after 300 seconds without a request."""
    told_at = []

    def note_time(request: m.RunProgressRequest) -> None:
        told_at.append(trio.current_time())

    hold_until(lambda told: len(told) >= 100 and told[-1].bytes == 5, note_time)
    assert (await site.back_up()).safeset == 1
    last = site.vault.told[-1]
    assert (last.files, last.bytes, last.bytes_total) == (1, 5, None)
    assert {one.run_id for one in site.vault.told} == {site.vault.ended[0].run_id}
    assert all(2 <= later - before <= 10 for before, later in itertools.pairwise(told_at))
    count = len(told_at)
    await trio.sleep(1_000)
    assert len(told_at) == count


async def test_a_run_that_was_asked_for_tells_the_whole_too(
    site: Site, hold_until: Any, autojump_clock: MockClock
) -> None:
    site.vault.job = msgspec.structs.replace(site.vault.job, run_requested=True)
    hold_until(lambda told: (told[-1].bytes, told[-1].bytes_total) == (5, 5), lambda request: None)
    assert (await site.back_up()).safeset == 1


@pytest.mark.parametrize(
    "error",
    [
        RemoteProtocolError(ErrorCode.unknown_method, "the vault has no method 'run.progress'"),
        RemoteProtocolError(ErrorCode.not_found, "run x does not exist"),
        RemoteProtocolError(ErrorCode.bad_request, "the message RunProgressAnswer has an unknown field colour"),
        ConnectionLost("the connection ended"),
    ],
)
async def test_no_answer_to_it_ends_a_run(
    site: Site, hold_until: Any, autojump_clock: MockClock, error: Exception
) -> None:
    def refuse(request: m.RunProgressRequest) -> None:
        raise error

    hold_until(lambda told: len(told) == 3, refuse)
    assert (await site.back_up()).safeset == 1
    assert [end.outcome for end in site.vault.ended] == ["done"]


async def test_an_answer_that_does_not_come_holds_nothing_up(
    site: Site, monkeypatch: pytest.MonkeyPatch, hold_until: Any, autojump_clock: MockClock
) -> None:
    hold_until(lambda told: True, lambda request: None)
    real_ask = site.vault.ask

    async def ask(method: str, *rest: Any) -> Any:
        answer = await real_ask(method, *rest)
        if method == "run.progress":
            await trio.sleep_forever()
        return answer

    monkeypatch.setattr(site.vault, "ask", ask)
    assert (await site.back_up()).safeset == 1
    assert len(site.vault.told) == 1
