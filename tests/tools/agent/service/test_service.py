"""The service as a whole, with the vault and the child processes replaced: retries, removal, the end."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
import trio
import trio.testing

from protocol.messages import AgentWorkAnswer
from tests.tools.agent.conftest import JOB_ID, Site
from tools.agent.local.orders import AskedOrder, AskedRestore, Work
from tools.agent.service import service as service_module
from tools.agent.service.service import Service
from tools.agent.service.worker import Streams
from tools.client.failure import Failure
from tools.client.output import Output

ORDER_ID = b"o" * 16
RESTORE = AgentWorkAnswer([], [], [ORDER_ID])
RUN, CANCEL = AgentWorkAnswer([JOB_ID], [], []), AgentWorkAnswer([], [JOB_ID], [])


@dataclass
class Vault:
    """What it tells, and how the runs end that come of it."""

    codes: list[int]
    begun: list[float] = field(default_factory=list)
    removed: trio.Event = field(default_factory=trio.Event)
    take: Callable[[AgentWorkAnswer], None] = lambda _: None

    async def run(self, work: Work, lock: int, streams: Streams, cancelled: trio.Event) -> int:
        assert work.order in (AskedOrder(job_id=JOB_ID, json=False), AskedRestore(order_id=ORDER_ID, json=False))
        self.begun.append(trio.current_time())
        code = self.codes.pop(0)
        if code == 130:
            await cancelled.wait()
        return code


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Vault:
    vault = Vault([])

    class Link:
        def __init__(self, endpoint: object, program: str, take: Any, say: object) -> None:
            vault.take = take

        async def keep(self) -> NoReturn:
            await vault.removed.wait()
            raise Failure("not_signed_in", "this agent's key is not known")

    monkeypatch.setattr(service_module, "VaultLink", Link)
    return vault


def make(site: Site, vault: Vault) -> Service:
    service = Service(site.state, site.state.load_identity(), 99, Output())
    service._bench._run = vault.run
    return service


async def until_told(vault: Vault, answer: AgentWorkAnswer) -> None:
    await trio.testing.wait_all_tasks_blocked()
    vault.take(answer)
    await trio.testing.wait_all_tasks_blocked()


async def test_a_run_that_could_not_begin_is_tried_again_ever_later(
    site: Site, vault: Vault, autojump_clock: trio.testing.MockClock
) -> None:
    vault.codes = [8] * 8 + [0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make(site, vault).run)
        await until_told(vault, RUN)
        await trio.sleep(5 * 3600)
        nursery.cancel_scope.cancel()
    pauses = [round(after - before) for before, after in zip(vault.begun, vault.begun[1:], strict=False)]
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]


@pytest.mark.parametrize("code", [0, 3, 4])
async def test_what_is_settled_is_not_tried_again(
    site: Site, vault: Vault, autojump_clock: trio.testing.MockClock, code: int
) -> None:
    vault.codes = [code]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make(site, vault).run)
        await until_told(vault, RUN)
        await trio.sleep(24 * 3600)
        nursery.cancel_scope.cancel()
    assert len(vault.begun) == 1


async def test_a_cancel_ends_the_run_that_goes_on(site: Site, vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    site.state.save_job_id("documents", JOB_ID)
    vault.codes = [130]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make(site, vault).run)
        await until_told(vault, RUN)
        await until_told(vault, RUN)  # asked for again meanwhile: one waits, and no more
        await until_told(vault, RUN)
        vault.codes = [0]
        await until_told(vault, AgentWorkAnswer([JOB_ID], [JOB_ID], []))
        assert (len(vault.begun), vault.codes) == (2, [])
        await until_told(vault, AgentWorkAnswer([], [JOB_ID], []))  # nothing goes on: nothing is said
        nursery.cancel_scope.cancel()
    said = capsys.readouterr().err.splitlines()
    assert said.count("the run of job documents was cancelled at the vault") == 1


async def test_a_restore_that_is_asked_for_begins_once(site: Site, vault: Vault) -> None:
    vault.codes = [130]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make(site, vault).run)
        for _ in range(3):
            await until_told(vault, RESTORE)
        assert len(vault.begun) == 1
        await until_told(vault, AgentWorkAnswer([], [ORDER_ID], []))
        vault.codes = [0]
        await until_told(vault, RESTORE)
        assert (len(vault.begun), vault.codes) == (2, [])
        nursery.cancel_scope.cancel()


async def test_a_restore_that_was_cut_is_tried_again(
    site: Site, vault: Vault, autojump_clock: trio.testing.MockClock
) -> None:
    vault.codes = [8, -9, 0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make(site, vault).run)
        await until_told(vault, RESTORE)
        await trio.sleep(24 * 3600)
        nursery.cancel_scope.cancel()
    pauses = [round(after - before) for before, after in zip(vault.begun, vault.begun[1:], strict=False)]
    assert pauses == [60, 120]


async def test_a_removed_computer_ends_the_service_and_what_goes_on(site: Site, vault: Vault) -> None:
    vault.codes = [130]
    failures: list[Failure] = []

    async def run() -> None:
        try:
            await make(site, vault).run()
        except Failure as failure:
            failures.append(failure)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await until_told(vault, RUN)
        vault.removed.set()
    assert [failure.exit_code for failure in failures] == [5]
    assert not (site.state.path / "service.sock").exists()


async def test_sigterm_ends_it_in_order(site: Site, vault: Vault) -> None:
    vault.codes = [130]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make(site, vault).run)
        await until_told(vault, RUN)
        os.kill(os.getpid(), signal.SIGTERM)
    assert len(vault.begun) == 1
