"""A run whose key the vault gave up is begun anew, with another key, as soon as the vault says so."""

import os
from typing import Any

import pytest
import trio

from protocol.errors import ErrorCode, RemoteProtocolError
from tests.tools.agent.conftest import Site, differences
from tests.tools.agent.fake_vault import FakeUpload
from tools.client.failure import Failure, describe

SENTENCE = "record 0 of the batch: run key 00 was given up"


def refuse(monkeypatch: pytest.MonkeyPatch, where: str, code: ErrorCode, times: int) -> list[int]:
    """The first uploads end with this error; those that were refused."""
    real = getattr(FakeUpload, where)
    refused: list[int] = []
    uploads: list[FakeUpload] = []

    async def asked(upload: FakeUpload, *arguments: Any) -> Any:
        await trio.lowlevel.checkpoint()
        if upload not in uploads:
            uploads.append(upload)
        if (number := uploads.index(upload)) < times:
            refused.append(number)
            raise RemoteProtocolError(code, SENTENCE, "begin a new run")
        return await real(upload, *arguments)

    monkeypatch.setattr(FakeUpload, where, asked)
    return refused


@pytest.mark.parametrize("where", ["send", "receive"])
async def test_a_run_whose_key_was_given_up_is_begun_anew_with_another(
    site: Site, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (site.source / "file").write_bytes(os.urandom(3_000_000))
    refused = refuse(monkeypatch, where, ErrorCode.damaged, 1)
    done = await site.back_up()
    assert refused
    assert done.safeset == 1
    assert done.notes == [f"the run was begun anew, because the vault said: {SENTENCE}"]
    assert len(site.vault.run_keys) == 2
    assert [request.outcome for request in site.vault.ended] == ["failed", "done"]
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


@pytest.mark.parametrize(("code", "times", "runs"), [(ErrorCode.damaged, 2, 2), (ErrorCode.conflict, 1, 1)])
async def test_it_is_begun_anew_once_and_for_nothing_else(
    site: Site, monkeypatch: pytest.MonkeyPatch, code: ErrorCode, times: int, runs: int
) -> None:
    (site.source / "file").write_bytes(b"1")
    refuse(monkeypatch, "send", code, times)
    with pytest.raises((Failure, ExceptionGroup)) as caught:
        await site.back_up()
    assert (describe(caught.value).code, len(site.vault.ended)) == (code, runs)
