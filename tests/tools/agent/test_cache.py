"""The cache: belongs to one safeset, is dropped when it is another's or damaged, and changes in one step."""

import sqlite3
import zlib
from pathlib import Path

import pytest

from tests.tools.agent.conftest import Site, differences
from tools.agent.cache import Base, Belonging, Cache, CachedRow, pack_extents, row_checksum
from tools.client.failure import Failure

BELONGING = Belonging(b"k" * 16, b"j" * 16, 1)
BASE = Base(b"r" * 32, b"b" * 32, b"c" * 32, 0)


def row(key: bytes, hash: bytes = b"h" * 32) -> CachedRow:
    prefix, extents = b"prefix" + hash, pack_extents([(b"i" * 32, 1, 2)])
    return CachedRow(key, 2, -5, 7, 9, prefix, extents, None, row_checksum(key, prefix, extents, None))


def filled(path: Path) -> Cache:
    cache = Cache(path, BELONGING)
    cache.begin()
    cache.change([row(b"b"), row(b"a\0x"), row(b"a"), row(b"a.b")], [])
    cache.commit(BASE)
    return cache


def test_rows_come_in_scan_order(tmp_path: Path) -> None:
    filled(tmp_path / "cache").close()
    cache = Cache(tmp_path / "cache", BELONGING)
    assert cache.base == BASE
    assert [known[0] for known in cache.known_paths()] == [b"a", b"a\0x", b"a.b", b"b"]
    assert list(cache.rows()) == [row(b"a"), row(b"a\0x"), row(b"a.b"), row(b"b")]
    assert next(cache.known_paths())[1:] == (2, -5, 7, 9)


def test_readers_see_the_base_until_the_commit(tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache")
    cache.begin()
    reading = cache.known_paths()
    first = next(reading)
    cache.change([row(b"c")], [b"b"])
    assert [first[0], *(known[0] for known in reading)] == [b"a", b"a\0x", b"a.b", b"b"]
    cache.close()
    assert [known[0] for known in Cache(tmp_path / "cache", BELONGING).known_paths()] == [b"a", b"a\0x", b"a.b", b"b"]


@pytest.mark.parametrize(("keyring", "job", "timeline"), [(b"K", b"j", 1), (b"k", b"J", 1), (b"k", b"j", 2)])
def test_another_keyring_job_or_timeline_begins_anew(tmp_path: Path, keyring: bytes, job: bytes, timeline: int) -> None:
    filled(tmp_path / "cache").close()
    cache = Cache(tmp_path / "cache", Belonging(keyring * 16, job * 16, timeline))
    assert cache.base is None
    assert list(cache.known_paths()) == []


def test_a_file_that_is_no_database_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"not a database" * 1000)
    assert Cache(tmp_path / "cache", BELONGING).base is None


def test_contents_are_found_by_their_whole_hash(tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache")
    assert cache.find_content(b"h" * 32) == [(b"i" * 32, 1, 2)]
    assert cache.find_content(b"h" * 8 + b"H" * 24) == []


def test_the_checksum_is_over_everything_that_goes_into_a_manifest() -> None:
    assert row_checksum(b"key", b"prefix", b"extents", b"extras") == zlib.crc32(b"keyprefixextentsextras")


async def test_a_damaged_row_never_reaches_a_manifest(site: Site) -> None:
    for name in ("one", "two"):
        (site.source / name).write_bytes(name.encode())
    await site.back_up()
    database = next(site.state.path.rglob("cache.sqlite"))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE rows SET extents = zeroblob(40) WHERE key LIKE '%one' AND extents != x''")
    connection.close()
    (site.source / "two").write_bytes(b"changed")
    done_or_failure = None
    try:
        await site.back_up()
    except Failure as failure:
        done_or_failure = failure
        await site.back_up()
    await site.restore()
    assert differences(site.source, site.restored_source) == ""
    assert done_or_failure is None or "cache" in done_or_failure.message
