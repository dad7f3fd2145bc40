"""What becomes of a root whose answer was lost, and that nothing fails a run whose safeset is there."""

from typing import Any

import pytest

from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.tools.agent.conftest import Site, differences
from tools.agent.cache import cache as cache_module
from tools.agent.state import JobState, PendingRoot
from tools.client.failure import Failure, first_cause

Patch = pytest.MonkeyPatch


def job_state(site: Site) -> JobState:
    return site.state.job(site.vault.job.job_id)


def lose_answer(site: Site, patch: Patch, method: str, *more_lost: str) -> None:
    """The vault does what it is asked, then the answer is lost; `more_lost` are never answered."""
    real = site.vault.ask

    async def ask(asked: str, *arguments: Any) -> Any:
        if asked in more_lost:
            raise ConnectionLost("The connection was lost.")
        answer = await real(asked, *arguments)
        if asked == method:
            raise ConnectionLost("The connection was lost.")
        return answer

    patch.setattr(site.vault, "ask", ask)


async def test_an_answer_that_was_lost_is_found_by_the_next_run(site: Site, monkeypatch: Patch) -> None:
    (site.source / "file").write_bytes(b"1")
    with monkeypatch.context() as patch:
        lose_answer(site, patch, "safeset.commit", "safeset.find", "run.end")
        with pytest.raises(ConnectionLost):
            await site.back_up()
    assert len(site.vault.roots) == 1
    assert job_state(site).load_head() is None
    lost = job_state(site).load_pending()
    assert lost is not None
    done = await site.back_up()
    assert done.safeset == 2
    assert site.vault.found == [lost.root_hash]
    assert job_state(site).load_pending() is None


async def test_the_head_that_was_found_is_guarded(site: Site, monkeypatch: Patch) -> None:
    (site.source / "file").write_bytes(b"1")
    await site.back_up()
    with monkeypatch.context() as patch:
        lose_answer(site, patch, "safeset.commit", "safeset.find", "run.end")
        with pytest.raises(ConnectionLost):
            await site.back_up()
    with monkeypatch.context() as patch:
        lose_answer(site, patch, "run.begin")
        with pytest.raises(ConnectionLost):
            await site.back_up()
    site.vault.roots.pop()
    with pytest.raises(Failure, match="went back in time"):
        await site.back_up()


async def test_an_answer_that_was_lost_alone_does_not_fail_the_run(site: Site, monkeypatch: Patch) -> None:
    (site.source / "file").write_bytes(b"1")
    with monkeypatch.context() as patch:
        lose_answer(site, patch, "safeset.commit")
        done = await site.back_up()
    assert (done.safeset, done.notes) == (1, [])
    head = job_state(site).load_head()
    assert head is not None
    assert (head.sequence, job_state(site).load_pending()) == (1, None)


async def test_a_root_that_never_arrived_is_forgotten(site: Site) -> None:
    (site.source / "file").write_bytes(b"1")
    job_state(site).save_pending(PendingRoot(timeline=1, sequence=1, root_hash="ab" * 32))
    done = await site.back_up()
    assert done.safeset == 1
    assert job_state(site).load_pending() is None


async def test_a_root_that_is_refused_twice_fails_the_run(site: Site, monkeypatch: Patch) -> None:
    def refuse(request: Any, raw: bytes) -> Any:
        raise RemoteProtocolError(ErrorCode.conflict, "The head moved.", "")

    (site.source / "file").write_bytes(b"1")
    with monkeypatch.context() as patch:
        patch.setattr(site.vault, "_safeset_commit", refuse)
        with pytest.raises(Failure, match="The head moved") as caught:
            await site.back_up()
    assert caught.value.exit_code == 6
    assert [ended.outcome for ended in site.vault.ended] == ["failed", "failed"]
    assert (await site.back_up()).safeset == 1


async def test_where_the_vault_lacks_a_record_of_the_base_everything_is_offered_once_more(
    site: Site, monkeypatch: Patch
) -> None:
    """The vault finds out in the middle of the run: the base was whole when it began."""
    (site.source / "file").write_bytes(b"1")
    await site.back_up()
    real = site.vault._safeset_commit
    (chunk,) = site.vault.ids_of_type(1)
    del site.vault.records[chunk]

    def commit(request: Any, raw: bytes) -> Any:
        if chunk not in site.vault.records:
            raise RemoteProtocolError(ErrorCode.conflict, "A record is missing.", "")
        return real(request, raw)

    monkeypatch.setattr(site.vault, "_safeset_commit", commit)
    done = await site.back_up()
    assert done.safeset == 2
    assert chunk in site.vault.records
    assert done.notes == ["everything was read and offered again, because the vault said: A record is missing."]
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_a_countersignature_of_somebody_else_is_never_kept(site: Site, monkeypatch: Patch) -> None:
    (site.source / "file").write_bytes(b"1")
    with monkeypatch.context() as patch:
        lose_answer(site, patch, "safeset.commit", "safeset.find", "run.end")
        with pytest.raises(ConnectionLost):
            await site.back_up()
    monkeypatch.setattr(site.vault, "_countersign", lambda root: bytes(64))
    with pytest.raises(Failure) as caught:
        await site.back_up()
    assert caught.value.exit_code == 9
    assert job_state(site).load_head() is None


async def test_a_cache_that_cannot_be_kept_is_a_note(site: Site, monkeypatch: Patch) -> None:
    (site.source / "file").write_bytes(b"1")
    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "_CONTENTS", "CREATE INDEX contents ON elsewhere (hash)")
        done = await site.back_up()
    assert done.safeset == 1
    assert "no such table" in done.notes[0]
    assert site.vault.ended[-1].outcome == "done"
    assert (await site.back_up()).scanned.bytes_read == 1
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_an_end_that_the_vault_does_not_hear_is_a_note(site: Site, monkeypatch: Patch) -> None:
    (site.source / "file").write_bytes(b"1")
    with monkeypatch.context() as patch:
        lose_answer(site, patch, "", "run.end")
        done = await site.back_up()
    assert (done.safeset, len(done.notes)) == (1, 1)
    head = job_state(site).load_head()
    assert head is not None
    assert head.sequence == 1


async def test_a_head_that_cannot_be_kept_is_a_note_and_found_next_time(site: Site, monkeypatch: Patch) -> None:
    (site.source / "file").write_bytes(b"1")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(JobState, "save_head", fail)
        done = await site.back_up()
    assert "No space left" in done.notes[0]
    assert (await site.back_up()).safeset == 2
    assert len(site.vault.found) == 1


async def test_a_pending_root_that_cannot_be_kept_is_not_sent(site: Site, monkeypatch: Patch) -> None:
    (site.source / "file").write_bytes(b"1")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JobState, "save_pending", fail)
    with pytest.raises(BaseException) as caught:  # noqa: B017  (a group of one)
        await site.back_up()
    assert isinstance(first_cause(caught.value), OSError)
    assert site.vault.roots == []
