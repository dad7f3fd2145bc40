"""Whose turn it is: backups one after another, a restore beside them, and what a cancel reaches."""

import os
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from tests.tools.agent.conftest import JOB_ID, Site
from tools.agent.local.orders import AskedOrder, AskedRestore, BackupOrder, Ended, RestoreOrder, Work
from tools.agent.service.workbench import Piece, Workbench
from tools.agent.service.worker import Streams

LOCK = 99


@dataclass
class Children:
    """Processes that end when a test says so, or when they are cancelled."""

    begun: list[Work] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    ends: list[trio.Event] = field(default_factory=list)
    error: OSError | None = None

    async def run(self, work: Work, lock: int, streams: Streams, cancelled: trio.Event) -> int:
        assert (lock, streams) == (LOCK, Streams(7, 8))
        if self.error is not None:
            raise self.error
        self.begun.append(work)
        end = trio.Event()
        self.ends.append(end)
        code = [0]

        async def interrupt() -> None:
            await cancelled.wait()
            code[0] = 130
            end.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupt)
            await end.wait()
            nursery.cancel_scope.cancel()
        return code[0] or (self.codes.pop(0) if self.codes else 0)


@dataclass
class Bench:
    bench: Workbench
    children: Children
    nursery: trio.Nursery
    waiting: list[str] = field(default_factory=list)
    ended: list[tuple[str, Ended]] = field(default_factory=list)

    async def give(self, piece: Piece) -> Piece:
        async def tell(behind: str) -> None:
            await trio.lowlevel.checkpoint()
            self.waiting.append(behind)

        async def carry_out() -> None:
            self.ended.append((piece.text, await self.bench.carry_out(piece, tell)))

        self.nursery.start_soon(carry_out)
        await trio.testing.wait_all_tasks_blocked()
        return piece

    async def end(self, number: int) -> None:
        self.children.ends[number].set()
        await trio.testing.wait_all_tasks_blocked()

    @property
    def jobs(self) -> list[str]:
        return [getattr(work.order, "job", "asked") for work in self.children.begun]


@pytest.fixture
async def bench(site: Site, nursery: trio.Nursery) -> Bench:
    children = Children()
    return Bench(Workbench(site.state, LOCK, children.run), children, nursery)


def backup(job: str) -> Piece:
    return Piece(BackupOrder(job=job, json=True), Streams(7, 8))


def asked(job_id: bytes = JOB_ID) -> Piece:
    return Piece(AskedOrder(job_id=job_id, json=True), Streams(7, 8))


def restore() -> Piece:
    order = RestoreOrder(
        job="job", computer=None, sequence=0, paths=[b""], target=b"/t", overwrite="never", is_privileged=False,
        is_room_checked=True, password="correct horse", recovery_code=None, json=True,
    )  # fmt: skip
    return Piece(order, Streams(7, 8))


def asked_restore(order_id: bytes) -> Piece:
    return Piece(AskedRestore(order_id=order_id, json=True), Streams(7, 8))


INTERRUPTED = Ended(exit_code=130, code="interrupted", message="interrupted")


async def test_backups_go_one_after_another_and_say_for_whom_they_wait(bench: Bench) -> None:
    for job in ("one", "two", "three"):
        await bench.give(backup(job))
    assert (bench.jobs, bench.waiting) == (["one"], ["the backup of one", "the backup of two"])
    await bench.end(0)
    assert bench.jobs == ["one", "two"]
    await bench.end(1)
    await bench.end(2)
    assert bench.jobs == ["one", "two", "three"]
    assert [ended for _, ended in bench.ended] == [Ended(exit_code=0)] * 3


async def test_a_restore_goes_beside_a_backup_and_not_beside_another(bench: Bench) -> None:
    await bench.give(backup("one"))
    await bench.give(restore())
    await bench.give(restore())
    assert (len(bench.children.begun), bench.waiting) == (2, ["the restore of job"])
    await bench.end(1)
    assert len(bench.children.begun) == 3
    await bench.end(0)
    await bench.end(2)


async def test_a_restore_that_is_asked_for_waits_for_other_restores_only(bench: Bench) -> None:
    await bench.give(backup("one"))
    await bench.give(restore())
    await bench.give(asked_restore(b"o" * 16))
    assert bench.waiting == ["the restore of job"]
    assert [bench.bench.has_restore(id_ * 16) for id_ in (b"o", b"p")] == [True, False]
    await bench.end(1)
    assert bench.bench.has_restore(b"o" * 16)  # begun
    await bench.end(2)
    assert not bench.bench.has_restore(b"o" * 16)
    await bench.end(0)


@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_cancel_reaches_the_restore_of_its_order_alone(bench: Bench, *, has_begun: bool) -> None:
    first = await bench.give(asked_restore(b"o" * 16) if has_begun else restore())
    second = await bench.give(asked_restore(b"p" * 16) if has_begun else asked_restore(b"o" * 16))
    bench.bench.cancel_restore(b"o" * 16)
    await trio.testing.wait_all_tasks_blocked()
    assert (first.cancelled.is_set(), second.cancelled.is_set()) == (has_begun, not has_begun)
    bench.bench.close()
    await trio.testing.wait_all_tasks_blocked()


async def test_what_is_cancelled_before_its_turn_starts_nothing(bench: Bench) -> None:
    await bench.give(backup("one"))
    second = await bench.give(backup("two"))
    await bench.give(backup("three"))
    second.cancelled.set()
    await trio.testing.wait_all_tasks_blocked()
    assert bench.ended == [("the backup of two", INTERRUPTED)]
    await bench.end(0)
    assert bench.jobs == ["one", "three"]
    await bench.end(1)


async def test_a_cancel_reaches_the_jobs_backup_whoever_began_it(bench: Bench, site: Site) -> None:
    """Not that of another job, not one of a person's that waits, not a restore."""
    site.state.save_job_id("documents", JOB_ID)
    others = [await bench.give(restore())]
    mine = await bench.give(backup("documents"))
    queued = await bench.give(asked())
    others += [await bench.give(asked(b"o" * 16)), await bench.give(backup("documents")), await bench.give(backup("x"))]
    assert bench.bench.is_waiting(JOB_ID)
    bench.bench.cancel_job(JOB_ID)
    assert (mine.cancelled.is_set(), queued.cancelled.is_set()) == (True, True)
    assert [piece.cancelled.is_set() for piece in others] == [False] * 4
    assert not bench.bench.is_waiting(JOB_ID)
    bench.bench.close()
    await trio.testing.wait_all_tasks_blocked()


async def test_a_run_that_has_begun_waits_no_more(bench: Bench) -> None:
    """What is asked for after its begin is another run."""
    await bench.give(asked())
    assert not bench.bench.is_waiting(JOB_ID)
    await bench.end(0)


async def test_a_close_interrupts_all_and_takes_nothing_more(bench: Bench) -> None:
    for piece in (backup("one"), backup("two"), restore()):
        await bench.give(piece)
    bench.bench.close()
    await trio.testing.wait_all_tasks_blocked()
    await bench.give(backup("late"))
    assert bench.jobs == ["one", "job"]
    assert sorted(ended.exit_code for _, ended in bench.ended) == [130] * 4


@pytest.mark.parametrize("code", [0, 3, 9, 12])
async def test_the_exit_code_is_that_of_the_work(bench: Bench, code: int) -> None:
    bench.children.codes = [code]
    await bench.give(backup("one"))
    await bench.end(0)
    assert bench.ended == [("the backup of one", Ended(exit_code=code))]


async def test_a_child_that_was_killed_is_told(bench: Bench) -> None:
    bench.children.codes = [-9]
    await bench.give(backup("one"))
    await bench.end(0)
    (ended,) = [ended for _, ended in bench.ended]
    assert (ended.exit_code, ended.message) == (1, "its process was ended by signal 9")


async def test_a_process_that_cannot_be_started_is_told_and_the_next_one_has_its_turn(bench: Bench) -> None:
    bench.children.error = OSError(12, os.strerror(12))
    await bench.give(backup("one"))
    bench.children.error = None
    await bench.give(backup("two"))
    assert bench.jobs == ["two"]
    assert bench.ended[0][1].message == "no process could be started: Cannot allocate memory"
    await bench.end(0)
