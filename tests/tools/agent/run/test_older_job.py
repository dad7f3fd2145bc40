"""A run whose job the vault told of before it took the agent's last root: that is no step back in time."""

from typing import Any

import pytest

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.tools.agent.conftest import JOB_ID, Site
from tests.tools.agent.run.test_commit import lose_answer
from tests.tools.agent.run.test_provisional import AT_ONCE, back_up_at, is_complete, write_files
from tools.agent.run.backup import back_up


async def test_a_root_that_was_taken_after_the_job_was_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.source / "file").write_bytes(b"1")
    with monkeypatch.context() as patch:
        lose_answer(site, patch, "safeset.commit", "safeset.find", "run.end")
        with pytest.raises(ConnectionLost):
            await site.back_up()
    root = site.vault.roots.pop()
    told = site.vault.current_job()
    site.vault.roots.append(root)
    done = await back_up(site.agent, told, lambda phase, figures: None)
    assert (done.safeset, done.notes) == (2, [])


async def test_provisional_safesets_before_a_root_that_was_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.agent.scan.batch.BATCH_BYTES", 1 << 20)
    write_files(site)
    real, provisional = site.vault._safeset_commit, []

    def refuse_once(request: m.SafesetCommitRequest, raw: bytes) -> Any:
        if is_complete(raw):
            monkeypatch.setattr(site.vault, "_safeset_commit", real)
            provisional.append(len(site.vault.roots))
            raise RemoteProtocolError(ErrorCode.conflict, "a record is missing", "")
        return real(request, raw)

    monkeypatch.setattr(site.vault, "_safeset_commit", refuse_once)
    done = await back_up_at(site, AT_ONCE)
    (before,) = provisional
    assert before > 0
    assert done.safeset > before
    assert is_complete(site.vault.roots[-1][0])
    assert [note.partition(",")[0] for note in done.notes] == ["everything was read and offered again"]


async def test_a_safeset_that_comes_while_a_restore_is_opened(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the service backs up beside a restore."""
    (site.source / "file").write_bytes(b"1")
    await site.back_up()
    older, state = site.state.job(JOB_ID).load_head(), site.state.job(JOB_ID)
    await site.back_up()
    newer, root = state.load_head(), site.vault.roots.pop()
    assert older is not None
    assert newer is not None
    state.save_head(older)
    real = site.vault._restore_open

    def open_beside(request: m.RestoreOpenRequest, raw: bytes) -> Any:
        answer = real(request, raw)
        site.vault.roots.append(root)
        state.save_head(newer)
        return answer

    monkeypatch.setattr(site.vault, "_restore_open", open_beside)
    await site.restore()
    assert (site.restored_source / "file").read_bytes() == b"1"
