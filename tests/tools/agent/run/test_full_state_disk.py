"""The disk of the state directory is full: the cache is only a help, and what must be there is named."""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tools.agent.conftest import Site, differences
from tools.agent.cache.cache import Cache
from tools.agent.scan import sorted_names as sorted_names_module
from tools.agent.scan.walk import TreeWalk
from tools.agent.selection import make_selection
from tools.client.failure import Failure

Patch = pytest.MonkeyPatch


def fill_disk(patch: Patch) -> None:
    """SQLite itself says that the disk is full as soon as the cache has to grow."""
    real: Callable[[Cache], None] = Cache._connect

    def connect(cache: Cache) -> None:
        real(cache)
        pages = cache._writer.execute("PRAGMA page_count").fetchone()[0]
        cache._writer.execute(f"PRAGMA max_page_count = {pages}")

    patch.setattr(Cache, "_connect", connect)


def write_files(site: Site, name: str) -> None:
    for number in range(1_000):
        path = site.source / f"{name}-{number:0100}"
        path.write_bytes(b"%d" % number)
        os.utime(path, (1, 1))


def cache_bytes(site: Site) -> int:
    return sum(path.stat().st_size for path in site.state.path.rglob("cache.sqlite*"))


async def test_the_first_run_goes_on_without_a_cache(site: Site, monkeypatch: Patch) -> None:
    write_files(site, "first")
    with monkeypatch.context() as patch:
        fill_disk(patch)
        for number in (1, 2):
            done = await site.back_up()
            assert (done.safeset, done.missed.count) == (number, 0)
            assert "the cache could not be written, the next run reads more: database or disk is full" in done.notes[0]
            assert cache_bytes(site) < 200_000
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
    assert (await site.back_up()).notes == []
    assert (await site.back_up()).scanned.bytes_read == 0


async def test_a_run_over_a_base_goes_on_from_what_it_knows(site: Site, monkeypatch: Patch) -> None:
    write_files(site, "first")
    await site.back_up()
    write_files(site, "second")
    with monkeypatch.context() as patch:
        fill_disk(patch)
        done = await site.back_up()
    assert (done.safeset, done.missed.count) == (2, 0)
    assert "disk is full" in done.notes[0]
    # The first thousand was not read again.
    assert done.scanned.bytes_read == sum(len(str(number)) for number in range(1_000))
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
    assert (await site.back_up()).notes == []


async def test_a_cache_that_cannot_be_made_is_a_note(site: Site) -> None:
    (site.source / "file").write_bytes(b"1")
    path = site.state.job(site.vault.job.job_id).cache_path
    (path / "in the way").mkdir(parents=True)
    for number in (1, 2):
        done = await site.back_up()
        assert (done.safeset, len(done.notes)) == (number, 1)


async def test_a_cache_that_is_damaged_for_writing_is_made_anew(site: Site, monkeypatch: Patch) -> None:
    write_files(site, "first")
    await site.back_up()
    write_files(site, "second")

    def fail(*_: Any) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as patch:
        patch.setattr(Cache, "_change", fail)
        assert "malformed" in (await site.back_up()).notes[0]
    assert cache_bytes(site) < 200_000
    assert (await site.back_up()).notes == []


@pytest.mark.parametrize("call", ["open", "write", "read"])
def test_a_spool_that_fails_is_named_and_ends_the_run(tmp_path: Path, monkeypatch: Patch, call: str) -> None:
    """It must not be taken for a directory that cannot be read."""
    root, spool = tmp_path / "tree", tmp_path / "spool"
    root.mkdir()
    for number in range(10):
        (root / str(number)).touch()

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    what = {"open": (sorted_names_module.tempfile, "TemporaryFile"), "write": (sorted_names_module, "_write_all")}
    if call in what:
        monkeypatch.setattr(*what[call], fail)
    else:
        monkeypatch.setattr(sorted_names_module.os, "pread", fail)
    spool.mkdir()
    warned: list[object] = []
    walk = TreeWalk(
        make_selection([bytes(tmp_path)], [], False, None), spool, lambda *what: warned.append(what),
        names_in_memory_max=4,
    )  # fmt: skip
    with pytest.raises(Failure, match=f"{spool}: .*No space left") as caught:
        list(walk)
    assert (caught.value.exit_code, warned) == (1, [])
