"""The cache: belongs to one safeset, is dropped when it is another's or damaged, and changes in one step."""

import sqlite3
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.support.trees import make_old
from tests.tools.agent.conftest import Site, differences
from tools.agent.cache.belonging import Base, Belonging, belonging_of
from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow, row_checksum
from tools.agent.chunks.extent_list import pack_extents
from tools.client.failure import Failure
from tools.client.keyring import Unattended, create_keyring

BELONGING = Belonging(b"k" * 16, 1, b"m" * 16, b"j" * 16, 1)
BASE = Base(b"r" * 32, b"b" * 32, b"c" * 32, 0)


def row(key: bytes, hash: bytes = b"h" * 32) -> CachedRow:
    prefix, extents = b"prefix" + hash, pack_extents([(b"i" * 32, 1, 2)])
    return CachedRow(key, 2, -5, 7, 9, prefix, extents, 0, None, row_checksum(key, prefix, extents, None, 0))


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


def test_the_names_in_a_directory(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", BELONGING)
    cache.begin()
    keys = [b"a", b"a\0x", b"a\0x\0deep", b"a\0x\1", b"a\0x.y\0z", b"a\0y", b"a.b", b"a.b\0c", b"b"]
    cache.change([row(key) for key in keys], [])
    cache.commit(BASE)
    assert cache.children(b"a") == [b"x", b"x\1", b"x.y", b"y"]
    assert cache.children(b"") == [b"a", b"a.b", b"b"]
    assert cache.children(b"a/x") == [b"deep"]
    assert cache.children(b"b") == cache.children(b"c") == []


def test_readers_see_the_base_until_the_commit(tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache")
    cache.begin()
    reading = cache.known_paths()
    first = next(reading)
    cache.change([row(b"c")], [b"b"])
    assert [first[0], *(known[0] for known in reading)] == [b"a", b"a\0x", b"a.b", b"b"]
    cache.close()
    assert [known[0] for known in Cache(tmp_path / "cache", BELONGING).known_paths()] == [b"a", b"a\0x", b"a.b", b"b"]


@pytest.mark.parametrize("change", [{"generation": 2}, {"timeline": 2}])
def test_a_cache_of_another_generation_or_timeline_is_of_no_safeset(tmp_path: Path, change: dict[str, Any]) -> None:
    filled(tmp_path / "cache").close()
    cache = Cache(tmp_path / "cache", replace(BELONGING, **change))
    assert (cache.base, cache.is_unbound, len(list(cache.known_paths()))) == (None, True, 4)


@pytest.mark.parametrize(
    "change",
    [{"keyring_id": b"K" * 16}, {"id_key_mark": b"M" * 16}, {"job_id": b"J" * 16}],
)
def test_a_cache_of_something_else_begins_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    filled(tmp_path / "cache").close()
    cache = Cache(tmp_path / "cache", replace(BELONGING, **change))
    assert cache.base is None
    assert list(cache.known_paths()) == []


def test_an_id_key_is_known_by_a_mark_that_is_not_its_own_bytes() -> None:
    keyring = create_keyring(b"j" * 16)
    keys = Unattended.of(keyring, b"j" * 16)
    first = belonging_of(keys, b"j" * 16, 1)
    assert first.id_key_mark == blake3(b"safeset agent cache v1", key=keys.id_key).digest(length=16)
    assert belonging_of(replace(keys, id_key=b"i" * 32), b"j" * 16, 1) != first
    assert belonging_of(replace(keys, generation=2), b"j" * 16, 1) != first


async def test_a_new_id_key_reuses_nothing_that_is_older(site: Site) -> None:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    job_state = site.state.job(site.vault.job.job_id)
    saved = job_state.load_unattended()
    assert saved is not None
    job_state.save_unattended(replace(Unattended.decode(saved), id_key=b"i" * 32).encode())
    done = await site.back_up()
    assert done.scanned.bytes_read == len(b"content")


def test_a_file_that_is_no_database_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"not a database" * 1000)
    assert Cache(tmp_path / "cache", BELONGING).base is None


def test_contents_are_found_by_their_whole_hash(tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache")
    assert list(cache.find_content(b"h" * 32)) == [(b"i" * 32, 1, 2)]
    assert cache.find_content(b"h" * 8 + b"H" * 24) == []


def test_the_checksum_is_over_everything_that_goes_into_a_manifest() -> None:
    assert row_checksum(b"key", b"prefix", b"extents", b"extras", 0) == zlib.crc32(b"keyprefixextentsextras")
    with_further = zlib.crc32(b"keyprefixextents\x03\0\0\0extras")
    assert row_checksum(b"key", b"prefix", b"extents", b"extras", 3) == with_further


async def test_a_damaged_row_never_reaches_a_manifest(site: Site) -> None:
    for name in ("one", "two"):
        (site.source / name).write_bytes(name.encode())
    make_old(site.source)
    await site.back_up()
    database = next(site.state.path.rglob("cache.sqlite"))
    key = bytes(site.source / "one")[1:].replace(b"/", b"\0")
    with sqlite3.connect(database) as connection:
        changed = connection.execute("UPDATE rows SET extents = zeroblob(40) WHERE key = ?", (key,))
        assert changed.rowcount == 1
    connection.close()
    (site.source / "two").write_bytes(b"changed")
    with pytest.raises(Failure, match="cache"):
        await site.back_up()
    assert len(site.vault.roots) == 1
    await site.back_up()
    await site.restore()
    assert differences(site.source, site.restored_source) == ""


def test_parts_of_extents_whose_row_never_came_are_not_those_of_the_base(tmp_path: Path) -> None:
    """A run was broken off between the parts of a changed file and its row; then the file was put back."""
    cache = Cache(tmp_path / "cache", BELONGING)
    first, second = pack_extents([(b"1" * 32, 0, 9)]), pack_extents([(b"2" * 32, 0, 9)])
    row = CachedRow(b"large", 18, 1, 1, 1, b"p" * 40, first, 1, None, row_checksum(b"large", b"p" * 40, first, None, 1))
    cache.begin()
    cache.change([row], [])
    cache.add_extents(b"large", 1, second)
    cache.commit(BASE)
    cache.begin_resumed()
    cache.add_resumed_extents(b"large", 1, pack_extents([(b"3" * 32, 0, 9)]))
    cache.end_resumed()
    (known,) = cache.rows()
    assert list(cache.further_extents(known)) == [second]
    cache.close()
