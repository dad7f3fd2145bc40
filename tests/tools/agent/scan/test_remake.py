"""Unchanged files whose bundle is made anew: nothing of them changes, nothing is lost, and it comes to rest."""

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.aged_tree import chunks_of_newest
from tests.support.trees import OLD_NS
from tests.tools.agent.conftest import Site, differences
from tools.agent.scan import outbox as outbox_module
from tools.agent.scan import remake as remake_module
from tools.agent.scan import scan as scan_module
from tools.client.manifest import Kind

FILES, KEPT_EVERY, FILE_BYTES = 30, 5, 60_000
SPARSE_BYTES = 15 * 4096  # whole blocks of the file system
KEPT_BYTES = FILES // KEPT_EVERY * FILE_BYTES


@pytest.fixture(autouse=True)
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was just written is old enough to be trusted."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 10_000_000_000)


def write(path: Path, seed: object, size: int = FILE_BYTES) -> None:
    path.write_bytes(random.Random(str(seed)).randbytes(size))
    os.utime(path, ns=(1, OLD_NS))


def path_of(site: Site, number: int) -> Path:
    return site.source / f"file-{number:02}"


def chunks(site: Site) -> set[bytes]:
    return chunks_of_newest(site.vault.records, site.vault.roots)


async def age(site: Site) -> set[bytes]:
    """The next run makes the first bundles anew, of which a fifth is needed; their ids."""
    for number in range(FILES):
        write(path_of(site, number), number)
    await site.back_up()
    first = chunks(site)
    for number in range(FILES):
        if number % KEPT_EVERY:
            write(path_of(site, number), f"changed {number}")
    await site.back_up()
    aged = chunks(site) & first
    assert aged
    return aged


async def test_it_comes_to_rest(site: Site) -> None:
    aged = await age(site)
    before = await site.entries(2)
    done = await site.back_up()
    assert (done.scanned.remade_bytes, done.scanned.bytes_read) == (KEPT_BYTES, KEPT_BYTES)
    assert done.missed.count == 0
    assert not aged & chunks(site)
    assert await site.entries(3) == before
    for _ in range(3):
        done = await site.back_up()
        assert (done.scanned.remade_bytes, done.scanned.bytes_read, done.sent.content_bytes) == (0, 0, 0)
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


async def test_a_content_is_not_found_again_in_a_bundle_that_is_made_anew(site: Site) -> None:
    aged = await age(site)
    (site.source / "copy").write_bytes(path_of(site, 0).read_bytes())
    path_of(site, KEPT_EVERY).touch()  # read by its own right
    await site.back_up()
    assert not aged & chunks(site)
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


@pytest.mark.parametrize("cause", ["unreadable", "vanishes", "torn"])
async def test_what_cannot_be_read_keeps_its_content(site: Site, monkeypatch: pytest.MonkeyPatch, cause: str) -> None:
    aged = await age(site)
    path = path_of(site, 0)
    before = await site.entries(2)
    with monkeypatch.context() as patch:
        fail(patch, path, cause)
        for _ in range(2):
            done = await site.back_up()
            assert done.missed.count == 0
    assert len(aged & chunks(site)) == 1
    assert [entry for entry in await site.entries(4) if entry.kind == Kind.FILE] == [
        entry for entry in before if entry.kind == Kind.FILE
    ]
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
    assert (await site.back_up()).scanned.bytes_read == 0  # what was left is left until it ages


def fail(patch: pytest.MonkeyPatch, path: Path, cause: str) -> None:
    real_open, real_read = remake_module.open_found, remake_module.FileReader.read

    def refusing(found: Any) -> Any:
        if found.path == bytes(path)[1:]:
            raise OSError(5, "Input/output error") if cause == "unreadable" else FileNotFoundError(2, "No such file")
        return real_open(found)

    def tearing(reader: Any, descriptor: int, status: os.stat_result) -> Any:
        content = yield from real_read(reader, descriptor, status)
        return content._replace(is_changed=status.st_ino == path.stat().st_ino)

    if cause == "torn":
        patch.setattr(remake_module.FileReader, "read", tearing)
    else:
        for module in (remake_module, scan_module):
            patch.setattr(module, "open_found", refusing)


async def test_what_was_merged_as_far_as_it_goes_is_left(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows wait for a bundle, so far apart ones cannot share one: these stay small, and are not merged for ever."""
    monkeypatch.setattr(outbox_module, "WAITING_ROWS_MAX", 20)
    for number in range(800):
        write(path_of(site, number), number, size=2_000)
    await site.back_up()
    for number in range(50, 800, 50):
        write(path_of(site, number), f"changed {number}", size=2_000)
    assert (await site.back_up()).scanned.remade_bytes > 0
    for _ in range(2):
        done = await site.back_up()
        assert (done.scanned.remade_bytes, done.sent.content_bytes) == (0, 0)


async def test_a_content_that_changed_without_its_times_is_taken_as_it_is_now(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await age(site)
    path, was = path_of(site, 0), path_of(site, 0).stat()
    write(path, "through a map")
    real_stat, real_fstat = os.stat, os.fstat

    def stat(what: Any, **more: Any) -> os.stat_result:
        return was if what == os.fsencode(path.name) else real_stat(what, **more)

    def fstat(descriptor: int) -> os.stat_result:
        return was if os.readlink(f"/proc/self/fd/{descriptor}") == str(path) else real_fstat(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        patch.setattr(os, "fstat", fstat)
        await site.back_up()
    await site.restore()
    assert (site.restored_source / path.name).read_bytes() == path.read_bytes()


async def test_names_holes_and_attributes_stay(site: Site) -> None:
    for number in range(0, FILES, KEPT_EVERY):
        path_of(site, number).write_bytes(b"")
    write(path_of(site, 0), "names")
    (site.source / "another name").hardlink_to(path_of(site, 0))
    (site.source / "sub").mkdir()
    (site.source / "sub" / "third name").hardlink_to(path_of(site, 0))
    sparse = site.source / "file-00-sparse"
    with sparse.open("wb") as file:
        file.seek(3 << 20)
        file.write(random.Random(9).randbytes(SPARSE_BYTES))
        file.truncate(9 << 20)
    os.utime(sparse, ns=(1, OLD_NS))
    os.setxattr(sparse, "user.color", b"blue")
    for number in range(1, FILES):
        write(path_of(site, number), number)
    await site.back_up()
    first = chunks(site)
    for number in range(1, FILES):
        write(path_of(site, number), f"changed {number}")
    await site.back_up()
    assert first & chunks(site)
    before = await site.entries(2)
    done = await site.back_up()
    assert done.scanned.remade_bytes == FILE_BYTES + SPARSE_BYTES  # the file with three names is read once
    assert not first & chunks(site)
    assert await site.entries(3) == before
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
