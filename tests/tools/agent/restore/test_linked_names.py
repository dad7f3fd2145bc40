"""Further names of a file are given to just the file that a restore has written, or found to be the same."""

import os
import sqlite3
import time
from typing import Any

import pytest

from tests.tools.agent.conftest import Site, differences
from tools.agent.restore.survey import Overwrite
from tools.agent.scan import read_file, scan

OLD_NS = 1_500_000_000_000_000_000


async def test_a_rotten_file_of_the_same_size_and_time_gets_no_further_name(site: Site) -> None:
    content = os.urandom(2 << 20)
    (site.source / "a").write_bytes(content)
    os.link(site.source / "a", site.source / "b")
    os.utime(site.source / "a", ns=(1, OLD_NS))
    await site.back_up()
    await site.restore()
    for name in ("a", "b"):
        (site.restored_source / name).unlink()
    (site.restored_source / "a").write_bytes(bytes(2 << 20))
    os.utime(site.restored_source / "a", ns=(1, OLD_NS))
    restored = await site.restore()
    assert (site.restored_source / "b").read_bytes() == content
    assert (bytes(site.source / "a")[1:], "exists") in restored.missed.kept


async def test_what_stays_gets_the_names_that_are_missing(site: Site) -> None:
    """As after a cut between two names of a file."""
    (site.source / "a").write_bytes(b"content")
    for name in ("b", "c"):
        os.link(site.source / "a", site.source / name)
    await site.back_up()
    await site.restore()
    (site.restored_source / "b").unlink()
    os.utime(site.restored_source, ns=(1, site.source.stat().st_mtime_ns))
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


NOT_LINKED = "not one file with its other names any more"


@pytest.fixture
async def linked(site: Site) -> Site:
    """Names a, b and c of one file, restored as such."""
    (site.source / "a").write_bytes(b"content")
    for name in ("b", "c"):
        os.link(site.source / "a", site.source / name)
    os.utime(site.source / "a", ns=(1, OLD_NS))
    await site.back_up()
    restored = await site.restore()
    assert (restored.files, restored.missed.kept) == (3, [])
    return site


def inodes(site: Site) -> list[int]:
    return [(site.restored_source / name).stat().st_ino for name in ("a", "b", "c")]


@pytest.mark.parametrize("changed", ["mode", "content"])
async def test_a_first_name_that_stays_as_another_file_is_told_with_the_next(linked: Site, changed: str) -> None:
    there = linked.restored_source
    for name in ("b", "c"):
        (there / name).unlink()
    if changed == "mode":
        (there / "a").chmod(0o600)
    else:
        (there / "a").write_bytes(b"edited")
    os.utime(there, ns=(1, linked.source.stat().st_mtime_ns))
    restored = await linked.restore()
    a, b, c = inodes(linked)
    assert (a != b, b == c) == (True, True)
    source = bytes(linked.source)[1:]
    stays = "exists with other metadata" if changed == "mode" else "exists"
    assert [told for told in restored.missed.kept if told[0] != source] == [
        (source + b"/a", stays),
        (source + b"/b", NOT_LINKED),
    ]


async def test_a_name_that_is_written_anew_beside_one_that_stays_is_told(linked: Site) -> None:
    there = linked.restored_source
    (there / "a").unlink()
    (there / "a").write_bytes(b"edited")
    restored = await linked.restore(overwrite=Overwrite.changed)
    a, b, c = inodes(linked)
    assert (restored.files, a != b, b == c) == (1, True, True)
    source = bytes(linked.source)[1:]
    assert restored.missed.kept == [(source + b"/b", NOT_LINKED), (source + b"/c", NOT_LINKED)]
    assert (await linked.restore(overwrite=Overwrite.always)).missed.kept == []
    assert len(set(inodes(linked))) == 1


@pytest.mark.parametrize("overwrite", [Overwrite.never, Overwrite.changed, Overwrite.newer])
async def test_names_that_are_one_file_are_told_of_nothing(linked: Site, overwrite: Overwrite) -> None:
    assert (await linked.restore(overwrite=overwrite)).missed.kept == []


async def test_newer_tells_of_a_name_that_it_writes_beside_one_that_stays(linked: Site) -> None:
    there = linked.restored_source
    (there / "b").unlink()
    (there / "a").write_bytes(b"edited since")
    restored = await linked.restore(overwrite=Overwrite.newer)
    assert (bytes(linked.source / "b")[1:], NOT_LINKED) in restored.missed.kept
    assert (there / "a").read_bytes() == b"edited since"


async def test_newer_links_nothing_to_another_file(site: Site) -> None:
    os.symlink("right", site.source / "a")
    os.link(site.source / "a", site.source / "b", follow_symlinks=False)
    os.utime(site.source / "a", ns=(1, OLD_NS), follow_symlinks=False)
    await site.back_up()
    await site.restore()
    (site.restored_source / "a").unlink()
    (site.restored_source / "b").unlink()
    os.symlink("another and newer", site.restored_source / "a")
    await site.restore(overwrite=Overwrite.newer)
    assert os.readlink(site.restored_source / "a") == "another and newer"
    assert os.readlink(site.restored_source / "b") == "right"


async def test_a_name_that_was_read_under_another_one_is_as_young_as_its_reading(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write through a map soon after moves no times: what was young then is read by the next run."""
    (site.source / "a").write_bytes(b"content")
    os.link(site.source / "a", site.source / "z")
    (site.source / "m").write_bytes(b"between them")
    now = [time.time_ns()]

    def later(found: Any) -> Any:
        if found.path.endswith(b"/m"):
            now[0] += 600_000_000_000
        return real(found)

    real = scan.open_found
    monkeypatch.setattr(scan, "open_found", later)
    monkeypatch.setattr(scan.time, "time_ns", lambda: now[0])
    await site.back_up()
    with sqlite3.connect(next(site.state.path.rglob("cache.sqlite"))) as connection:
        keys = [bytes(site.source / name)[1:].replace(b"/", b"\0") for name in ("a", "z")]
        rows = connection.execute("SELECT inode FROM rows WHERE key IN (?, ?)", keys).fetchall()
    connection.close()
    assert rows == [(0,), (0,)], "the next run reads both again"


async def test_a_write_between_the_holes_and_the_reading_is_a_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.source / "sparse"
    path.write_bytes(os.urandom(2 << 20))
    os.truncate(path, 8 << 20)
    real, calls = read_file.find_layout, [0]

    def write_after(descriptor: int, size: int) -> Any:
        found = real(descriptor, size)
        calls[0] += 1
        if calls[0] == 2:  # the first look only says that it is a large one
            with path.open("r+b") as file:
                file.seek(6 << 20)
                file.write(b"new data in a hole")
        return found

    monkeypatch.setattr(read_file, "find_layout", write_after)
    assert (await site.back_up()).missed.kept == []
    await site.restore()
    assert (site.restored_source / "sparse").read_bytes() == path.read_bytes()
