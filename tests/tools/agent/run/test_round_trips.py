"""What a backup waits for, one after another: each answer that is not needed for what comes next costs a round trip."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from blake3 import blake3

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.tools.agent.conftest import JOB_ID, Site
from tests.tools.agent.fake_vault import FakeUpload
from tools.agent.upload import send

FILES = 20
LITTLE_BYTES = 262_144  # docs/protocol.md: BULK_WINDOW_BYTES_MIN
BEGIN, COMMIT = ("run.begin", "run.key"), ("safeset.commit", "run.end")
PATIENCE_SECONDS = 10  # of a test whose agent and vault would wait for each other


def fill(site: Site, size_bytes: int = 2_000, count: int = FILES) -> None:
    for number in range(count):
        (site.source / f"file-{number}").write_bytes(os.urandom(size_bytes))


@pytest.fixture
def asked(site: Site) -> Callable[[], list[str]]:
    """Takes what was asked since the last time."""

    def take() -> list[str]:
        found, site.vault.asked = site.vault.asked, []
        return found

    return take


async def test_a_first_backup_asks_for_three_things(site: Site, asked: Callable[[], list[str]]) -> None:
    fill(site)
    await site.back_up()
    assert asked() == ["keyring.create", *BEGIN, *COMMIT]
    assert site.vault.together == [BEGIN, COMMIT]
    assert site.vault.expected_bulk == 1, "the connection of the upload is made beside it"


async def test_later_backups_ask_for_two(site: Site, asked: Callable[[], list[str]]) -> None:
    fill(site)
    await site.back_up()
    asked()
    for change in (lambda: None, lambda: fill(site, count=1)):
        change()
        site.vault.calls.clear()
        await site.back_up()
        assert asked() == [*BEGIN, *COMMIT]
    assert site.vault.together == 3 * [BEGIN, COMMIT]
    assert site.vault.expected_bulk == 1, "a small run makes no other connection"


async def used_lanes(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each frame whether it went over the connection of the questions."""
    lanes: list[bool] = []
    real_call, real_send = site.vault.call, FakeUpload.send

    def call(method: str, *, is_small: bool = False) -> Any:
        made = real_call(method, is_small=is_small)
        made.is_small = is_small
        return made

    async def send_frame(upload: Any, *arguments: Any) -> None:
        lanes.append(upload.is_small)
        await real_send(upload, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(site.vault, "call", call)
        patch.setattr(FakeUpload, "send", send_frame)
        await site.back_up()
    return lanes


async def test_little_goes_over_the_connection_that_is_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site)
    assert set(await used_lanes(site, monkeypatch)) == {True}
    fill(site, 2 * LITTLE_BYTES, count=1)
    assert False in await used_lanes(site, monkeypatch)


async def test_much_is_offered_before_it_is_sent(site: Site, asked: Callable[[], list[str]]) -> None:
    """A file that is large enough to be worth a question; what follows it in the run is asked for too."""
    fill(site)
    await site.back_up()
    asked()
    fill(site, 2 * LITTLE_BYTES, count=1)
    await site.back_up()
    assert ("chunk.offer" in asked(), site.vault.expected_bulk) == (True, 2), "the connection is made beside the offer"


async def test_nothing_is_offered_under_a_keyring_that_was_just_made(
    site: Site, asked: Callable[[], list[str]]
) -> None:
    fill(site, 400_000)
    await site.back_up()
    assert "chunk.offer" not in asked()
    assert len(site.vault.records) > 2


async def test_what_the_vault_may_have_of_a_broken_off_run_is_not_sent_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site)
    await site.back_up()
    fill(site, count=1)
    real_ask = site.vault.ask

    async def cut(method: str, *arguments: Any) -> Any:
        if method == "safeset.commit":
            raise ConnectionLost("cut")
        return await real_ask(method, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(site.vault, "ask", cut)
        with pytest.raises(ConnectionLost):
            await site.back_up()
    uploads = site.vault.uploads
    assert ((await site.back_up()).safeset, site.vault.uploads) == (2, uploads)


@pytest.mark.parametrize("place", ["RunJournal.acknowledge", "RunJournal.remove"], ids=["mark", "end"])
async def test_nor_what_a_run_sent_that_was_killed_before_it_wrote_that_down(
    site: Site, asked: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Killed before its first mark, or when its safeset is there and its journal too."""

    async def never_ends(method: str, *arguments: Any) -> Any:
        if method == "safeset.commit" and place == "RunJournal.acknowledge":
            raise ConnectionLost("cut")
        return await real_ask(method, *arguments)

    fill(site)
    await site.back_up()
    fill(site, count=1)
    real_ask = site.vault.ask
    with monkeypatch.context() as patch:
        patch.setattr(f"tools.agent.run.run_journal.{place}", lambda journal, *_: journal.close())
        patch.setattr(site.vault, "ask", never_ends)
        with suppress(ConnectionLost):
            await site.back_up()
    uploads = site.vault.uploads
    asked()
    await site.back_up()
    assert site.vault.uploads == uploads
    assert "chunk.offer" in asked()


async def test_what_this_run_sent_and_forgot_is_asked_for(
    site: Site, asked: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "OFFERED_IDS_MAX", 2)
    fill(site, 400_000)
    await site.back_up()
    assert "chunk.offer" in asked()


async def test_a_cache_that_is_lost_has_everything_offered(site: Site, asked: Callable[[], list[str]]) -> None:
    fill(site)
    await site.back_up()
    for path in site.directory.rglob("cache*"):
        path.unlink()
    uploads = site.vault.uploads
    asked()
    await site.back_up()
    assert ("chunk.offer" in asked(), site.vault.uploads) == (True, uploads)


async def test_the_end_of_an_upload_is_said_with_its_last_frame(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """This vault acknowledges nothing before it."""
    ended = trio.Event()
    real_end, real_receive = FakeUpload.end, FakeUpload.receive

    async def end(upload: FakeUpload) -> None:
        ended.set()
        await real_end(upload)

    async def receive(upload: FakeUpload, type: Any) -> Any:
        await ended.wait()
        return await real_receive(upload, type)

    monkeypatch.setattr(FakeUpload, "end", end)
    monkeypatch.setattr(FakeUpload, "receive", receive)
    fill(site)
    with trio.fail_after(PATIENCE_SECONDS):
        assert (await site.back_up()).safeset == 1


async def test_an_end_that_was_not_taken_with_the_root_is_told_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = site.vault._run_end, []

    def refuse_once(request: m.RunEndRequest, raw: bytes) -> Any:
        if not refused:
            refused.append(request)
            raise RemoteProtocolError(ErrorCode.unavailable, "not now", "")
        return real(request, raw)

    monkeypatch.setattr(site.vault, "_run_end", refuse_once)
    fill(site)
    done = await site.back_up()
    assert (done.notes, site.vault.ended, [end.outcome for end in refused]) == ([], refused, ["done"])


@pytest.mark.parametrize("lost", [KeyboardInterrupt("Ctrl-C"), ConnectionLost("cut")], ids=["interrupted", "cut"])
async def test_what_the_root_brought_is_kept_before_the_end_is_answered(
    site: Site, monkeypatch: pytest.MonkeyPatch, lost: BaseException
) -> None:
    fill(site)
    real_ask, bases = site.vault.ask, []

    async def ask(method: str, request: Any, *arguments: Any) -> Any:
        if method == "run.begin":
            bases.append(request.base)
        if method == "run.end" and len(bases) == 1:
            raise lost
        return await real_ask(method, request, *arguments)

    monkeypatch.setattr(site.vault, "ask", ask)
    with suppress(KeyboardInterrupt):
        await site.back_up()
    head = site.state.job(JOB_ID).load_head()
    assert head is not None
    assert (head.sequence, site.state.job(JOB_ID).load_pending()) == (1, None)
    await site.back_up()
    assert bases == [None, blake3(site.vault.roots[0][0]).digest()], "head and cache are of the first safeset"


async def test_a_root_that_is_refused_ends_no_run_as_done(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site)
    await site.back_up()
    real, ends = site.vault._safeset_commit, len(site.vault.ended)

    def refuse_once(request: m.SafesetCommitRequest, raw: bytes) -> Any:
        monkeypatch.setattr(site.vault, "_safeset_commit", real)
        raise RemoteProtocolError(ErrorCode.conflict, "a record is missing", "")

    monkeypatch.setattr(site.vault, "_safeset_commit", refuse_once)
    fill(site, count=1)
    done = await site.back_up()
    assert (done.safeset, [end.outcome for end in site.vault.ended[ends:]]) == (2, ["failed", "done"])


@pytest.mark.parametrize("held", BEGIN)
async def test_a_run_that_is_cancelled_while_it_begins_is_ended_at_the_vault(
    site: Site, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """The vault began it, whatever of the answers came here."""
    fill(site)
    real_ask, is_held = site.vault.ask, trio.Event()

    async def ask(method: str, request: Any, *arguments: Any) -> Any:
        answer = await real_ask(method, request, *arguments)
        if method == held:
            is_held.set()
            await trio.sleep_forever()
        return answer

    monkeypatch.setattr(site.vault, "ask", ask)
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.back_up)
            await is_held.wait()
            nursery.cancel_scope.cancel()
    assert [end.outcome for end in site.vault.ended] == ["aborted"]
    assert list(site.vault.runs.values()) == ["aborted"]
