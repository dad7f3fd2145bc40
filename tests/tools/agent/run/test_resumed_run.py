"""A run that is broken off is gone on with: nothing that was acknowledged is sent again, and little is read again."""

import os
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
import trio

from protocol import messages as m
from protocol.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from tests.tools.agent.conftest import Site, differences
from tests.tools.agent.fake_vault import FakeUpload, FakeVault
from tools.agent.restore.survey import Overwrite
from tools.agent.run.agent import Attempts
from tools.agent.run.backup import back_up
from tools.agent.run.run_end import Done
from tools.agent.run.run_journal import RunJournal
from tools.client.failure import describe
from tools.client.record_format import RecordType

MIB = 1 << 20
FILES = 24
OLD_NS = 1_600_000_000_000_000_000


class LinkLost(ConnectionLost):
    def __init__(self) -> None:
        super().__init__("the link was cut")


class Sent:
    """What the vault acknowledged, and what came again after it was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.acknowledged: set[bytes] = set()
        self.again: list[bytes] = []
        self.records = 0
        self.lost_after: int | None = None
        self.is_lost_after_a_mark = False  # and not before the journal says of something that it was acknowledged
        self._marked = trio.Event()
        real_send, real_receive, real_mark = FakeUpload.send, FakeUpload.receive, RunJournal.acknowledge

        async def send(upload: FakeUpload, batch: m.UploadBatch, raw: Any) -> None:
            ids = [bytes(piece)[40:72] for piece in raw]
            self.again += [id for id in ids if id in self.acknowledged]
            if self.lost_after is not None and self.records >= self.lost_after:
                if self.is_lost_after_a_mark:
                    await self._marked.wait()
                raise LinkLost
            self.records += len(ids)
            upload.__dict__.setdefault("sent", {})[batch.number] = ids
            await real_send(upload, batch, raw)

        async def receive(upload: FakeUpload, type: Any) -> Any:
            received = await real_receive(upload, type)
            if received is not None:
                self.acknowledged.update(upload.__dict__["sent"][received[0].number])
            return received

        def mark(journal: RunJournal, *arguments: Any) -> None:
            real_mark(journal, *arguments)
            if self.lost_after is not None:
                trio.from_thread.run_sync(self._marked.set)

        monkeypatch.setattr(RunJournal, "acknowledge", mark)
        monkeypatch.setattr(FakeUpload, "send", send)
        monkeypatch.setattr(FakeUpload, "receive", receive)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(monkeypatch)


def write_files(site: Site, count: int = FILES, size: int = MIB // 2) -> None:
    """Old enough to be known again by their times, but for the time of their status, which nobody can set."""
    for number in range(count):
        path = site.source / f"{number:03d}" / "file"
        path.parent.mkdir()
        path.write_bytes(os.urandom(size))
        os.utime(path, ns=(OLD_NS, OLD_NS))


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too young to be known again, and rows are handed over a few at a time."""
    monkeypatch.setattr("tools.agent.scan.batch.BATCH_BYTES", MIB)
    monkeypatch.setattr("tools.agent.scan.fingerprint.FINE_MARGIN_NS", -(10**18))
    monkeypatch.setattr("tools.agent.scan.fingerprint.COARSE_MARGIN_NS", -(10**18))


async def break_off(site: Site, sent: Sent, after: int) -> None:
    """A run that ends with the connection, as it does for one whose process is killed: nothing of it is told."""
    sent.lost_after = sent.records + after
    with pytest.raises((ConnectionLost, ExceptionGroup)) as caught:
        await site.back_up()
    assert describe(caught.value).message == "the link was cut"
    sent.lost_after = None


def cut(vault: FakeVault, request: m.SafesetCommitRequest, raw: bytes) -> Any:
    raise LinkLost


@pytest.mark.parametrize("after", [1, 5, 11])
async def test_the_next_run_sends_nothing_that_was_acknowledged(site: Site, sent: Sent, aged: None, after: int) -> None:
    write_files(site)
    await break_off(site, sent, after)
    done = await site.back_up()
    assert sent.again == []
    assert done.scanned.files == FILES
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_the_next_run_reads_nothing_of_what_was_acknowledged(
    site: Site, sent: Sent, aged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is cut when everything is there and the root is to be committed."""
    write_files(site)
    with monkeypatch.context() as patched:
        patched.setattr(FakeVault, "_safeset_commit", cut)
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await site.back_up()
    done = await site.back_up()
    assert (done.scanned.bytes_read, done.scanned.files, sent.again) == (0, FILES, [])
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


@pytest.mark.parametrize("is_ended", [False, True])
async def test_what_its_own_processes_sent_is_not_reused(
    site: Site, sent: Sent, aged: None, monkeypatch: pytest.MonkeyPatch, is_ended: bool
) -> None:
    """What a run that is over has sent is: this one found it at the vault."""
    write_files(site)
    with monkeypatch.context() as patched:
        patched.setattr(FakeVault, "_safeset_commit", cut)
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await site.back_up()
    if is_ended:
        site.vault.end_run(next(iter(site.vault.runs)), "aborted")
    done = await site.back_up()
    content_bytes = FILES * (MIB // 2)
    assert (done.sent.content_bytes, done.reused_bytes) == ((0, content_bytes) if is_ended else (content_bytes, 0))
    assert (done.sent.record_bytes > content_bytes) is not is_ended
    assert site.vault.ended[-1].new_bytes == done.sent.record_bytes


async def test_a_run_that_takes_no_more_keys_is_begun_anew_at_once(
    site: Site, sent: Sent, aged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process that goes on with a run makes a key, and the vault takes 64 for a run."""
    write_files(site)
    await break_off(site, sent, 5)
    (run_id,) = site.vault.runs
    real = FakeVault._run_key

    def take(vault: FakeVault, request: m.RunKeyRequest, raw: bytes) -> Any:
        if request.run_id == run_id:
            raise RemoteProtocolError(ErrorCode.conflict, "the run has 64 keys already", "begin a new run")
        return real(vault, request, raw)

    monkeypatch.setattr(FakeVault, "_run_key", take)
    done = await site.back_up()
    assert done.notes == ["the run was begun anew, because the vault said: the run has 64 keys already"]
    assert (done.safeset, sent.again, list(site.vault.runs.values())) == (1, [], ["failed", "done"])


@pytest.mark.parametrize("lost", [None, 0, -1])
async def test_a_file_of_many_parts_is_taken_up_whole_or_read_again(
    site: Site, sent: Sent, aged: None, monkeypatch: pytest.MonkeyPatch, lost: int | None
) -> None:
    """`lost`: which of its chunks the vault does not hold any more; the last one is in a part of its own."""
    monkeypatch.setattr("tools.agent.chunks.extent_list.PART_BYTES", 3 * 40)
    path = site.source / "large"
    path.write_bytes(os.urandom(24 * MIB))
    os.utime(path, ns=(OLD_NS, OLD_NS))
    with monkeypatch.context() as patched:
        patched.setattr(FakeVault, "_safeset_commit", cut)
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await site.back_up()
    chunks = site.vault.ids_of_type(RecordType.DATA)
    assert len(chunks) > 6
    if lost is not None:
        del site.vault.records[chunks[lost]]
    done = await site.back_up()
    assert done.scanned.bytes_read == (0 if lost is None else 24 * MIB)
    assert sent.again == ([] if lost is None else [chunks[lost]])
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_it_is_the_same_run(site: Site, sent: Sent, aged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[bytes] = []
    real = FakeVault._run_begin

    def begin(vault: FakeVault, request: m.RunBeginRequest, raw: bytes) -> Any:
        begun.append(request.run_id)
        return real(vault, request, raw)

    monkeypatch.setattr(FakeVault, "_run_begin", begin)
    write_files(site)
    await break_off(site, sent, 6)
    await site.back_up()
    (site.source / "new").write_bytes(b"1")
    await site.back_up()
    assert begun[0] == begun[1] != begun[2]
    assert [request.outcome for request in site.vault.ended] == ["done", "done"]


async def test_what_changed_meanwhile_is_read_again(site: Site, sent: Sent, aged: None) -> None:
    write_files(site)
    await break_off(site, sent, 8)
    (site.source / "000" / "file").write_bytes(b"another content")
    (site.source / "001" / "file").unlink()
    (site.source / "0005").mkdir()
    (site.source / "0005" / "new").write_bytes(b"new")
    await site.back_up()
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_what_the_vault_does_not_hold_any_more_is_sent_again(site: Site, sent: Sent, aged: None) -> None:
    write_files(site)
    await break_off(site, sent, 8)
    lost = site.vault.ids_of_type(RecordType.DATA)[:3]
    for id in lost:
        del site.vault.records[id]
    await site.back_up()
    assert set(sent.again) == set(lost)
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_a_run_beside_a_base_is_gone_on_with(site: Site, sent: Sent, aged: None) -> None:
    write_files(site)
    await site.back_up()
    for number in range(0, FILES, 2):
        path = site.source / f"{number:03d}" / "file"
        path.write_bytes(os.urandom(MIB // 2))
        os.utime(path, ns=(OLD_NS, OLD_NS))
    (site.source / "001" / "file").unlink()
    sent.is_lost_after_a_mark = True
    await break_off(site, sent, 3)
    done = await site.back_up()
    assert sent.again == []
    assert done.safeset == 2
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
    last = await site.back_up()
    assert (last.scanned.bytes_read, last.sent.content_bytes) == (0, 0)


async def test_one_that_is_broken_off_again_and_again_gets_on(site: Site, sent: Sent, aged: None) -> None:
    write_files(site, count=40)
    for _ in range(4):
        await break_off(site, sent, 4)
    await site.back_up()
    assert sent.again == []
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_a_journal_that_ends_in_the_middle_counts_up_to_its_last_mark(site: Site, sent: Sent, aged: None) -> None:
    write_files(site)
    await break_off(site, sent, 8)
    (path,) = site.state.path.glob("jobs/*/run.journal")
    whole = path.read_bytes()
    ends = [whole[:kept] + os.urandom(100) for kept in (len(whole) // 3, len(whole) - 1)]
    bits = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (len(whole) // 2, len(whole) - 300)]
    for damaged in ends + bits:
        path.write_bytes(damaged)
        roots = list(site.vault.roots)
        await site.back_up()
        assert sent.again == []
        await site.restore(overwrite=Overwrite.always)
        assert differences(site.source, site.restored_source) == ""
        site.vault.roots = roots
        for name in ("cache.sqlite", "head.json", "expected.json"):
            (path.parent / name).unlink(missing_ok=True)


async def test_rows_whose_chunks_were_not_acknowledged_do_not_count(
    site: Site, aged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vault takes everything and says of nothing that it is durable: after a power cut it may have none of it."""
    write_files(site)
    stored = FakeVault.store
    monkeypatch.setattr(FakeVault, "store", lambda *_: None)

    async def receive(upload: FakeUpload, type: Any) -> Any:
        await trio.sleep(0.2)
        raise LinkLost

    with monkeypatch.context() as patched:
        patched.setattr(FakeUpload, "receive", receive)
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await site.back_up()
    monkeypatch.setattr(FakeVault, "store", stored)
    # Even a vault that would say of every id that it is there is asked for none: no row counts.
    counted: list[object] = []
    monkeypatch.setattr(RunJournal, "pieces", lambda journal: iter(counted.append(journal) or ()))
    await site.back_up()
    assert counted == []
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_a_journal_of_other_keys_is_not_taken(site: Site, aged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(site)
    with monkeypatch.context() as patched:
        patched.setattr(FakeVault, "_safeset_commit", cut)
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await site.back_up()
    (path,) = site.state.path.glob("jobs/*/run.journal")
    content = path.read_bytes()
    keyring_id = site.vault.keyring.keyring_id if site.vault.keyring else b""
    length, _ = struct.unpack_from("<II", content)
    head = content[8 : 8 + length]
    assert keyring_id in head
    head = head.replace(keyring_id, bytes(16))
    path.write_bytes(struct.pack("<II", length, zlib.crc32(head)) + head + content[8 + length :])
    done = await site.back_up()
    assert done.scanned.bytes_read == FILES * MIB // 2


async def test_a_full_disk_of_the_state_costs_the_journal_and_not_the_run(
    site: Site, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tools.agent.run.run_journal._write_all", full)
    write_files(site)
    done = await site.back_up()
    assert done.safeset == 1
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_the_key_is_kept_between_the_connections_of_one_process(site: Site, sent: Sent, aged: None) -> None:
    """A run takes 64 keys: a link that is cut more often must not end it."""
    write_files(site)
    attempts = Attempts()

    async def attempt() -> Done:
        agent = replace(site.agent, attempts=attempts)
        return await back_up(agent, site.vault.current_job(), lambda phase, figures: None)

    for _ in range(3):
        sent.lost_after = sent.records + 3
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await attempt()
    sent.lost_after = None
    await attempt()
    assert len(site.vault.run_keys) == 1
    assert attempts.counts.records == len(sent.acknowledged)
