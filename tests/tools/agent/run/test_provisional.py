"""Provisional safesets on the way of a run: links of the chain, whole in themselves, restorable by number."""

import os
import struct
from dataclasses import replace
from typing import Any

import pytest
import trio.testing

from protocol import messages as m
from protocol.errors import ConnectionLost
from tests.tools.agent.conftest import Site
from tests.tools.agent.fake_vault import FakeUpload, FakeVault
from tools.agent.restore.survey import Overwrite
from tools.agent.run.backup import back_up
from tools.agent.run.pace import Pace
from tools.agent.run.run_end import Done

MIB = 1 << 20
FILES = 24
AT_ONCE = Pace(provisional_seconds=0)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.agent.scan.batch.BATCH_BYTES", MIB)


def write_files(site: Site) -> None:
    for number in range(FILES):
        path = site.source / f"{number:03d}" / "file"
        path.parent.mkdir()
        path.write_bytes(os.urandom(MIB // 2))


async def back_up_at(site: Site, pace: Pace) -> Done:
    agent = replace(site.agent, pace=pace)
    return await back_up(agent, site.vault.current_job(), lambda phase, figures: None)


def is_complete(root: bytes) -> bool:
    return root[6] == 1


def files_and_directories(root: bytes) -> tuple[int, int]:
    """As docs/format.md places them."""
    files, directories = struct.unpack_from("<QQ", root, 232)
    return files, directories


async def restored_files(site: Site, number: int) -> dict[str, bytes]:
    restored = await site.restore(sequence=number, overwrite=Overwrite.always)
    assert not restored.manifest_damage
    found = {
        str(path.relative_to(site.restored_source)): path.read_bytes()
        for path in site.restored_source.rglob("*")
        if path.is_file()
    }
    for name in found:
        (site.restored_source / name).unlink()
    return found


async def test_a_long_run_makes_some_on_its_way_and_a_complete_one_at_its_end(site: Site) -> None:
    write_files(site)
    done = await back_up_at(site, AT_ONCE)
    complete = [is_complete(root) for root, _ in site.vault.roots]
    assert len(complete) > 1
    assert complete == [False] * (len(complete) - 1) + [True]
    assert done.safeset == len(complete)


async def test_each_is_whole_in_itself(site: Site) -> None:
    """Its paths are the first of the tree, in order, with their contents; its figures are of just these."""
    write_files(site)
    await back_up_at(site, AT_ONCE)
    contents = {f"{number:03d}/file": (site.source / f"{number:03d}" / "file").read_bytes() for number in range(FILES)}
    counts = []
    for number, (root, _) in enumerate(site.vault.roots, 1):
        found = await restored_files(site, number)
        assert found == {name: contents[name] for name in sorted(contents)[: len(found)]}
        assert files_and_directories(root)[0] == len(found)
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == FILES


async def test_one_is_left_by_a_run_that_is_broken_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(site)
    real = FakeVault._safeset_commit

    def cut(vault: FakeVault, request: m.SafesetCommitRequest, raw: bytes) -> Any:
        if is_complete(raw):
            raise ConnectionLost("the link was cut")
        return real(vault, request, raw)

    with monkeypatch.context() as patched:
        patched.setattr(FakeVault, "_safeset_commit", cut)
        with pytest.raises((ConnectionLost, ExceptionGroup)):
            await back_up_at(site, AT_ONCE)
    left = len(site.vault.roots)
    assert left
    assert await restored_files(site, left)
    done = await site.back_up()
    assert done.safeset == left + 1
    assert len(await restored_files(site, left + 1)) == FILES


async def test_one_names_nothing_that_is_still_on_its_way(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vault has a record only when it says so, which takes long; it refuses a root that names what it lacks."""
    late: dict[bytes, bytes] = {}
    real_store, real_receive = FakeVault.store, FakeUpload.receive

    def store(vault: FakeVault, record: bytes, cid: bytes) -> None:
        real_store(vault, record, cid)
        late[record[40:72]] = vault.records.pop(record[40:72])

    async def receive(upload: FakeUpload, type: Any) -> Any:
        await trio.testing.wait_all_tasks_blocked()
        received = await real_receive(upload, type)
        upload.vault.records |= late
        return received

    monkeypatch.setattr(FakeVault, "store", store)
    monkeypatch.setattr(FakeUpload, "receive", receive)
    write_files(site)
    await back_up_at(site, AT_ONCE)
    assert len(site.vault.roots) > 1


async def test_none_is_made_before_its_time(site: Site) -> None:
    write_files(site)
    await back_up_at(site, Pace())
    assert [is_complete(root) for root, _ in site.vault.roots] == [True]
