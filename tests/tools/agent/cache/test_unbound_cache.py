"""A cache whose safeset the vault does not have: what it says of files stays, once the vault has all that it names."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from protocol import messages as m
from protocol.errors import ConnectionLost
from tests.tools.agent.conftest import JOB_ID, Site, differences
from tools.agent.cache.cache import Cache
from tools.agent.run import resume
from tools.client.failure import Failure
from tools.client.keyring import Unattended
from tools.client.record_format import RecordType

MIB = 1 << 20
FILES = 6
OLD_NS = 1_600_000_000_000_000_000


@pytest.fixture
async def known(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """One safeset, of which a run would read nothing again."""
    monkeypatch.setattr("tools.agent.scan.fingerprint.FINE_MARGIN_NS", -(10**18))
    monkeypatch.setattr("tools.agent.scan.fingerprint.COARSE_MARGIN_NS", -(10**18))
    for number in range(FILES):
        write(site, f"{number}", 2 * MIB)
    await site.back_up()
    return site


def write(site: Site, name: str, size: int) -> None:
    (site.source / name).write_bytes(os.urandom(size))
    os.utime(site.source / name, ns=(OLD_NS, OLD_NS))


async def restored_right(site: Site) -> None:
    site.vault.base_known = True
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_what_the_vault_has_is_not_read_again(known: Site) -> None:
    known.vault.base_known = False
    known.vault.offered.clear()
    done = await known.back_up()
    assert (done.scanned.bytes_read, done.scanned.files, done.sent.content_bytes) == (0, FILES, 0)
    assert set(known.vault.ids_of_type(RecordType.DATA)) <= set(known.vault.offered), "each id is asked for"
    known.vault.base_known = True
    assert (await known.back_up()).scanned.bytes_read == 0
    await restored_right(known)


async def test_what_the_vault_lacks_is_read_and_sent_again(known: Site) -> None:
    lost = known.vault.ids_of_type(RecordType.DATA)[0]
    del known.vault.records[lost]
    known.vault.base_known = False
    known.vault.asked.clear()
    done = await known.back_up()
    assert (known.vault.asked.count("run.begin"), done.notes) == (1, []), "the vault refuses no root"
    assert done.scanned.bytes_read == 2 * MIB
    assert lost in known.vault.records
    await restored_right(known)


@pytest.mark.parametrize("step", ["forget", "commit"])
async def test_what_cannot_be_forgotten_costs_all(known: Site, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Else what the vault lacks would be believed."""
    full = sqlite3.OperationalError("database or disk is full")
    real = Cache.forget

    def failing_keys() -> Iterator[bytes]:
        raise full
        yield b""

    def fail(*_: object) -> None:
        raise full

    if step == "forget":
        monkeypatch.setattr(Cache, "forget", lambda cache, keys: real(cache, failing_keys()))  # type: ignore[arg-type]
    else:
        monkeypatch.setattr("tools.agent.cache.cache.save_base", fail)
    lost = known.vault.ids_of_type(RecordType.DATA)[0]
    del known.vault.records[lost]
    known.vault.base_known = False
    known.vault.asked.clear()
    done = await known.back_up()
    assert known.vault.asked.count("run.begin") == 1
    assert done.scanned.bytes_read == FILES * 2 * MIB
    assert lost in known.vault.records
    await restored_right(known)


async def test_a_run_that_begins_on_another_timeline_is_refused(known: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vault was brought back between its two answers, and knows a safeset with this hash."""
    real = known.vault._run_begin

    def begin(request: m.RunBeginRequest, raw: bytes) -> tuple[Any, bytes]:
        answer, back = real(request, raw)
        return msgspec.structs.replace(answer, timeline=answer.timeline + 1), back

    monkeypatch.setattr(known.vault, "_run_begin", begin)
    with pytest.raises(Failure, match="it is on timeline 2, this agent knows timeline 1"):
        await known.back_up()
    assert len(known.vault.roots) == 1


async def test_a_damaged_one_costs_all_and_ends_no_run(known: Site) -> None:
    with closing(sqlite3.connect(known.state.job(JOB_ID).cache_path)) as connection, connection:
        connection.execute("UPDATE rows SET checksum = checksum + 1 WHERE key = (SELECT max(key) FROM rows)")
    known.vault.base_known = False
    assert (await known.back_up()).scanned.bytes_read == FILES * 2 * MIB
    await restored_right(known)


async def test_a_part_of_a_large_file_that_the_vault_lacks_is_missed_too(
    known: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.agent.chunks.extent_list.PART_BYTES", 3 * 40)
    before = set(known.vault.ids_of_type(RecordType.DATA))
    write(known, "large", 12 * MIB)
    await known.back_up()
    chunks = [id for id in known.vault.ids_of_type(RecordType.DATA) if id not in before]
    assert len(chunks) > 6
    del known.vault.records[chunks[-1]]
    known.vault.base_known = False
    assert (await known.back_up()).scanned.bytes_read == 12 * MIB
    await restored_right(known)


async def test_a_vault_from_an_older_copy_costs_what_it_lacks(known: Site) -> None:
    """A person has accepted it: the safeset of the cache is one that it never had."""
    before = dict(known.vault.records)
    write(known, "later", MIB)
    await known.back_up()
    known.vault.records = before
    del known.vault.roots[1:]
    known.state.job(JOB_ID).head_path.unlink()
    done = await known.back_up()
    assert (done.safeset, done.scanned.bytes_read) == (2, MIB)
    await restored_right(known)


async def test_another_generation_of_the_same_id_key_costs_no_reading(known: Site) -> None:
    saved = known.state.job(JOB_ID).load_unattended()
    assert saved is not None
    known.state.job(JOB_ID).save_unattended(replace(Unattended.decode(saved), generation=2).encode())
    assert (await known.back_up()).scanned.bytes_read == 0


async def test_another_id_key_costs_all(known: Site) -> None:
    saved = known.state.job(JOB_ID).load_unattended()
    assert saved is not None
    other = replace(Unattended.decode(saved), generation=2, id_key=bytes(32))
    known.state.job(JOB_ID).save_unattended(other.encode())
    assert (await known.back_up()).scanned.bytes_read == FILES * 2 * MIB


async def test_what_was_lost_is_in_no_safeset_after_a_run_that_broke_off(
    known: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vault knows the safeset again, which names a file that is not wanted now and that the cache has forgotten."""
    write(known, "gone", MIB // 4)
    before = set(known.vault.ids_of_type(RecordType.DATA))
    await known.back_up()
    (lost,) = set(known.vault.ids_of_type(RecordType.DATA)) - before
    record = known.vault.records.pop(lost)
    known.vault.base_known = False

    offer_rows = resume.offer_rows

    async def cut(*given: Any) -> None:
        await offer_rows(*given)
        raise ConnectionLost("the link was cut")

    with monkeypatch.context() as patched:
        patched.setattr(resume, "offer_rows", cut)
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await known.back_up()
    known.vault.records[lost] = record
    known.vault.base_known = True
    known.define(exclude=["gone"])
    assert (await known.back_up()).scanned.files == FILES
    await known.restore()
    assert sorted(os.listdir(known.restored_source)) == [f"{number}" for number in range(FILES)]
