"""What the base still needs of each bundle, against a count of all rows, and what a run chooses of it."""

import random
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.agent.cache.belonging import Base, Belonging
from tools.agent.cache.cache import Cache
from tools.agent.cache.cached_row import CachedRow, row_checksum

BELONGING = Belonging(b"k" * 16, 1, b"m" * 16, b"j" * 16, 1)
MIB = 1 << 20
FLOOR_BYTES = 4 * MIB


def id_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def row(key: bytes, bundle: int, offset: int, length: int) -> CachedRow:
    extents = struct.pack("<32sII", id_of(bundle), offset, length)
    prefix = b"prefix" + random.Random(f"{bundle} {offset}").randbytes(32)
    return CachedRow(key, length, 1, 1, 1, prefix, extents, 0, None, row_checksum(key, prefix, extents, None, 0))


def base(number: int) -> Base:
    return Base(id_of(number), b"t" * 32, b"c" * 32, 0)


def committed(
    cache: Cache, number: int, rows: Sequence[CachedRow], gone: Sequence[bytes] = (), sizes: Sequence[int] = ()
) -> None:
    """`sizes` of the bundles 0, 1, 2 … where the run made them."""
    cache.choose_bundles()
    cache.begin()
    cache.change(rows, gone, [(id_of(bundle), size) for bundle, size in enumerate(sizes)])
    cache.commit(base(number))
    assert cache.failure is None


def counts(path: Path) -> dict[bytes, tuple[int, int]]:
    with sqlite3.connect(path) as connection:
        found = {id: (live, reads) for id, live, reads in connection.execute("SELECT id, live, reads FROM bundles")}
    connection.close()
    return found


def counted_by_hand(rows: dict[bytes, CachedRow]) -> dict[bytes, tuple[int, int]]:
    parts: defaultdict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for one in rows.values():
        id, offset, length = struct.unpack("<32sII", one.extents)
        parts[id].append((offset, length))
    return {id: (sum(n for _, n in set(found)), sum(n for _, n in found)) for id, found in parts.items()}


def test_counts_follow_each_change(tmp_path: Path) -> None:
    """Files with the same content share a part, come and go, and come back."""
    source = random.Random(3)
    path = tmp_path / "cache"
    cache = Cache(path, BELONGING)
    rows: dict[bytes, CachedRow] = {}
    for number in range(60):
        changed = {
            key: row(key, source.randrange(6), source.randrange(4) * 100, 100)
            for key in (b"file %d" % source.randrange(40) for _ in range(source.randrange(12)))
        }
        gone = [key for key in rows if key not in changed and source.random() < 0.1]
        committed(cache, number, list(changed.values()), gone)
        rows = {key: one for key, one in (rows | changed).items() if key not in gone}
        assert counts(path) == counted_by_hand(rows)
    assert len(rows) > 10


def test_counts_of_another_safeset_are_made_again(tmp_path: Path) -> None:
    """As of a cache that an older program wrote, or went on with."""
    path = tmp_path / "cache"
    cache = Cache(path, BELONGING)
    rows = {key: row(key, number // 3, number % 3 * 100, 100) for number, key in enumerate([b"a", b"b", b"c", b"d"])}
    committed(cache, 1, list(rows.values()), sizes=[5_000])
    cache.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE bundles SET live = 77, reads = 78")
        connection.execute("DELETE FROM counted")
    connection.close()
    cache = Cache(path, BELONGING)
    committed(cache, 2, [])
    cache.close()
    assert counts(path) == counted_by_hand(rows)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT size FROM bundles ORDER BY id").fetchall() == [(5_000,), (100,)]
    connection.close()


def chosen(tmp_path: Path, bundles: list[tuple[int, int]]) -> list[int]:
    """Of bundles of so many bytes, of which so many are needed."""
    cache = Cache(tmp_path / "cache", BELONGING)
    parts = []
    for number, (_, live) in enumerate(bundles):
        steps = range(0, live, 500_000)
        parts += [row(b"%d %d" % (number, at), number, at, min(500_000, live - at)) for at in steps]
    committed(cache, 1, parts, sizes=[size for size, _ in bundles])
    cache.choose_bundles()
    found = sorted(int.from_bytes(id, "big") for id in cache.bundles.chosen)
    cache.close()
    return found


def test_what_a_run_makes_anew_stays_within_its_share(tmp_path: Path) -> None:
    """2 % of what is bundled, of those with less than half left the worst first."""
    whole = [(2 * MIB, 2 * MIB)] * 300
    aged = [(2 * MIB, 900_000 - number) for number in range(60)]
    found = chosen(tmp_path, whole + aged)
    share_bytes = (300 * 2 * MIB + sum(live for _, live in aged)) // 50
    assert len(found) == share_bytes // 900_000
    assert found == list(range(360 - len(found), 360))


def test_a_small_job_has_four_mib(tmp_path: Path) -> None:
    assert len(chosen(tmp_path, [(2 * MIB, 900_000)] * 10)) == FLOOR_BYTES // 900_000


@pytest.mark.parametrize(("count", "is_merged"), [(7, False), (8, True)])
def test_small_bundles_are_merged_when_there_are_enough(tmp_path: Path, count: int, is_merged: bool) -> None:
    found = chosen(tmp_path, [(MIB, MIB), (MIB, 524_288)] + [(10_000, 10_000)] * count)
    assert found == (list(range(2, 2 + count)) if is_merged else [])


def test_many_copies_of_a_file_cost_what_is_read(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", BELONGING)
    copies = [row(b"copy %d" % number, 0, 0, 400_000) for number in range(11)]
    committed(cache, 1, copies, sizes=[MIB])
    cache.choose_bundles()
    assert not cache.bundles.chosen  # 4.4 MB to be read, although one copy is stored
    committed(cache, 2, [], gone=[b"copy 10"])
    cache.choose_bundles()
    assert cache.bundles.chosen == {id_of(0)}
    cache.close()


def test_what_a_run_left_is_not_chosen_again(tmp_path: Path) -> None:
    """Until it has lost something more."""
    cache = Cache(tmp_path / "cache", BELONGING)
    committed(cache, 1, [row(b"stays", 0, 0, 50_000), row(b"goes", 0, 50_000, 50_000)], sizes=[MIB])
    for number in range(2, 4):
        cache.choose_bundles()
        assert cache.bundles.chosen == ({id_of(0)} if number == 2 else set())
        committed(cache, number, [])
    committed(cache, 4, [], gone=[b"goes"])
    cache.choose_bundles()
    assert cache.bundles.chosen == {id_of(0)}
    cache.close()


def test_rows_of_a_run_that_was_broken_off_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    cache = Cache(path, BELONGING)
    rows = {key: row(key, 0, number * 100, 100) for number, key in enumerate([b"a", b"b", b"c"])}
    committed(cache, 1, list(rows.values()), sizes=[MIB])
    resumed = row(b"b", 1, 0, 100)
    cache.begin_resumed()
    cache.add_resumed([resumed], [])
    cache.end_resumed()
    committed(cache, 2, [row(b"c", 1, 100, 100)])
    cache.close()
    assert counts(path) == counted_by_hand(rows | {b"b": resumed, b"c": row(b"c", 1, 100, 100)})
