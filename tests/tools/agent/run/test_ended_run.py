"""Runs that end elsewhere: cancelled at the vault, or over although their last answer was lost."""

import os
from dataclasses import replace
from typing import Any

import pytest
import trio

from protocol import messages as m
from protocol.errors import ConnectionLost
from tests.tools.agent.conftest import Site, differences
from tests.tools.agent.fake_vault import FakeUpload, FakeVault
from tools.agent.run.agent import Attempts
from tools.agent.run.backup import back_up
from tools.agent.run.begun_run import RunEnded
from tools.client.failure import Failure, describe

MIB = 1 << 20
OLD_NS = 1_600_000_000_000_000_000


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too young to be known again."""
    monkeypatch.setattr("tools.agent.scan.fingerprint.FINE_MARGIN_NS", -(10**18))
    monkeypatch.setattr("tools.agent.scan.fingerprint.COARSE_MARGIN_NS", -(10**18))


def write_files(site: Site, count: int = 6) -> None:
    for number in range(count):
        path = site.source / f"file-{number}"
        path.write_bytes(os.urandom(MIB // 2))
        os.utime(path, ns=(OLD_NS, OLD_NS))


def cancel_at(vault: FakeVault, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Somebody cancels the run just before this question of its agent."""
    real = getattr(FakeVault, method)

    def cancelled(vault: FakeVault, request: Any, raw: bytes) -> Any:
        vault.end_run(request.run_id, "aborted")
        return real(vault, request, raw)

    monkeypatch.setattr(FakeVault, method, cancelled)


async def test_a_run_that_was_cancelled_makes_no_safeset_and_costs_no_reading(
    site: Site, aged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing changed, so that the first thing that is refused is the root."""
    write_files(site)
    await site.back_up()
    with monkeypatch.context() as patched:
        cancel_at(site.vault, patched, "_safeset_commit")
        with pytest.raises((RunEnded, ExceptionGroup)) as caught:
            await site.back_up()
    assert describe(caught.value).code == "conflict"
    assert len(site.vault.roots) == 1
    done = await site.back_up()
    assert (done.safeset, done.scanned.bytes_read) == (2, 0)


async def test_one_that_was_cancelled_while_its_link_was_cut_is_not_begun_anew(
    site: Site, aged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(site)
    attempts = Attempts()

    async def attempt() -> None:
        agent = replace(site.agent, attempts=attempts)
        await back_up(agent, site.vault.current_job(), lambda phase, figures: None)

    async def cut(upload: FakeUpload, batch: m.UploadBatch, raw: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise ConnectionLost("the link was cut")

    with monkeypatch.context() as patched:
        patched.setattr(FakeUpload, "send", cut)
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await attempt()
    (run_id,) = site.vault.runs
    site.vault.end_run(run_id, "aborted")
    with pytest.raises(RunEnded):
        await attempt()
    assert site.vault.roots == []
    await site.back_up()
    assert list(site.vault.runs.values()) == ["aborted", "done"]


async def test_a_lost_answer_to_the_last_root_costs_no_reading(
    site: Site, aged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(site)
    real = FakeVault._safeset_commit

    def lost(vault: FakeVault, request: m.SafesetCommitRequest, raw: bytes) -> Any:
        real(vault, request, raw)
        raise ConnectionLost("the link was cut")

    with monkeypatch.context() as patched:
        patched.setattr(FakeVault, "_safeset_commit", lost)
        patched.setattr(FakeVault, "_safeset_find", lambda *_: (_ for _ in ()).throw(ConnectionLost("cut")))
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await site.back_up()
    done = await site.back_up()
    assert (done.safeset, done.scanned.bytes_read, done.notes) == (2, 0, [])
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


@pytest.mark.parametrize("zeros", [8, 100, 5_000])
@pytest.mark.parametrize("is_in_the_middle", [False, True])
async def test_a_journal_with_zero_bytes_ends_no_run(
    site: Site, aged: None, monkeypatch: pytest.MonkeyPatch, zeros: int, is_in_the_middle: bool
) -> None:
    """As a power cut leaves pages that were not written."""
    write_files(site)
    with monkeypatch.context() as patched:
        patched.setattr(FakeVault, "_safeset_commit", lambda *_: (_ for _ in ()).throw(ConnectionLost("cut")))
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await site.back_up()
    (path,) = site.state.path.glob("jobs/*/run.journal")
    content = path.read_bytes()
    at = len(content) // 2 if is_in_the_middle else len(content)
    path.write_bytes(content[:at] + bytes(zeros) + content[at + zeros :])
    assert (await site.back_up()).safeset == 1
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_what_a_broken_off_first_run_saw_must_not_be_missing_from_the_next(
    site: Site, aged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is not mounted any more must not make a complete safeset without its files."""
    write_files(site)
    with monkeypatch.context() as patched:
        patched.setattr(FakeVault, "_safeset_commit", lambda *_: (_ for _ in ()).throw(ConnectionLost("cut")))
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await site.back_up()
    (expected,) = site.state.path.glob("jobs/*/expected.json")
    expected.unlink()  # it is there at the end of a scan only
    for path in site.source.iterdir():
        path.unlink()
    with pytest.raises((Failure, ExceptionGroup)) as caught:
        await site.back_up()
    assert "nothing is in the included path" in describe(caught.value).message
    assert site.vault.roots == []


async def test_the_journal_goes_with_each_complete_safeset(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the cache cannot be written: else it would grow with each run."""
    write_files(site)
    monkeypatch.setattr("tools.agent.cache.cache._CONTENTS", "INSERT INTO nowhere VALUES (1)")
    for _ in range(2):
        assert (await site.back_up()).notes
        assert list(site.state.path.glob("jobs/*/run.journal")) == []
