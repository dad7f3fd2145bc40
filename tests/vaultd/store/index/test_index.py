import struct
import threading

import lmdb
import pytest

from tests.vaultd.store.fakes import KEY, KEYRING, VAULT, make_id, short_hash
from vaultd.store.errors import FormatError, RecordDamaged, StoreError
from vaultd.store.index.index import Index
from vaultd.store.index_rows import ContainerRow, IndexBatch, IndexRecord, Location
from vaultd.store.position import Position

POSITION = Position(1, 9, b"h" * 32)


def row(seed, keyring=KEYRING, container=1, key=KEY):
    return IndexRecord(keyring, make_id(seed), key, container, 4096 + seed, 100 + seed, 1, bytes([seed % 256]) * 32)


def location(seed, container=1):
    return Location(1, container, 4096 + seed, 100 + seed, 1, False, 1, bytes([seed % 256]) * 16)


def raw(path, table):
    with lmdb.open(str(path), max_dbs=8, readonly=True) as environment:
        database = environment.open_db(table, create=False)
        with environment.begin(db=database) as transaction:
            return dict(transaction.cursor())


def overwrite(path, table, key, value):
    with lmdb.open(str(path), max_dbs=8) as environment:
        database = environment.open_db(table, create=False)
        with environment.begin(write=True, db=database) as transaction:
            transaction.put(key, value)


def closed(key, body):
    return body + short_hash(key + body)


def test_the_tables_byte_by_byte(tmp_path):
    path = tmp_path / "index"
    index = Index.open(path, VAULT)
    other = b"2" * 16
    index.apply(
        IndexBatch(records=[row(3)], containers=[ContainerRow(258, b"D" * 16, 8192, 4096, 7, True)], position=POSITION)
    )
    index.apply(IndexBatch(records=[row(4, keyring=other)]))
    index.close()
    assert raw(path, b"keyrings") == {KEYRING: closed(KEYRING, b"\0\0\0\1"), other: closed(other, b"\0\0\0\2")}
    assert raw(path, b"keys") == {KEY: closed(KEY, b"\0\0\0\1")}
    key = b"\0\0\0\1" + make_id(3)
    body = struct.pack("<QIIBBHI", 1, 4099, 103, 1, 0, 0, 1) + b"\3" * 16
    assert raw(path, b"records")[key] == body + short_hash(key + body)
    number = b"\0\0\0\0\0\0\1\2"
    assert raw(path, b"containers") == {number: closed(number, b"D" * 16 + struct.pack("<QQQB", 8192, 4096, 7, 1))}
    assert raw(path, b"meta") == {
        b"format": b"\1\0\0\0",
        b"vault": VAULT,
        b"position": closed(b"position", struct.pack("<IQ", 1, 9) + b"h" * 32),
    }


def test_lookup_keeps_the_order_asked(tmp_path):
    index = Index.open(tmp_path / "index", VAULT)
    index.apply(IndexBatch(records=[row(seed) for seed in range(100)]))
    wanted = [make_id(seed) for seed in (50, 200, 3, 50)]
    assert index.lookup(KEYRING, wanted) == [location(50), None, location(3), location(50)]
    assert index.lookup(b"x" * 16, wanted) == [None] * 4
    assert index.present(KEYRING, wanted) == {make_id(50), make_id(3)}
    assert index.record_count() == 100
    assert [entry.location for entry in index.rows()] == [location(seed) for seed in sorted(range(100), key=make_id)]


@pytest.mark.parametrize("at", range(48))
def test_every_flipped_byte_of_a_row_is_noticed(tmp_path, at):
    path = tmp_path / "index"
    index = Index.open(path, VAULT)
    index.apply(IndexBatch(records=[row(1)]))
    index.close()
    ((key, value),) = raw(path, b"records").items()
    overwrite(path, b"records", key, value[:at] + bytes([value[at] ^ 4]) + value[at + 1 :])
    index = Index.open(path, VAULT)
    with pytest.raises(RecordDamaged, match=make_id(1).hex()):
        index.lookup(KEYRING, [make_id(1)])
    assert index.present(KEYRING, [make_id(1)]) == set()
    assert [entry.location for entry in index.rows()] == [None]


@pytest.mark.parametrize("table", [b"keyrings", b"keys", b"containers", b"meta"])
def test_a_flipped_bit_in_a_small_table_is_refused(tmp_path, table):
    path = tmp_path / "index"
    index = Index.open(path, VAULT)
    index.apply(
        IndexBatch(records=[row(1)], containers=[ContainerRow(1, b"D" * 16, 8192, 8192, 1, False)], position=POSITION)
    )
    index.close()
    key, value = max(raw(path, table).items() if table != b"meta" else [(b"position", raw(path, table)[b"position"])])
    overwrite(path, table, key, bytes([value[0] ^ 1]) + value[1:])
    index = Index.open(path, VAULT)
    uses = {
        b"keyrings": lambda: index.present(KEYRING, [make_id(1)]),
        b"keys": lambda: index.apply(IndexBatch(records=[row(2)])),
        b"containers": index.containers,
        b"meta": index.position,
    }
    with pytest.raises(StoreError, match=f"row {key.hex()} is damaged; stop vaultd and run `vaultd rebuild DIR`"):
        uses[table]()


def test_a_row_of_another_id_is_noticed(tmp_path):
    path = tmp_path / "index"
    index = Index.open(path, VAULT)
    index.apply(IndexBatch(records=[row(1), row(2)]))
    index.close()
    values = raw(path, b"records")
    overwrite(path, b"records", b"\0\0\0\1" + make_id(1), values[b"\0\0\0\1" + make_id(2)])
    with pytest.raises(RecordDamaged):
        Index.open(path, VAULT).lookup(KEYRING, [make_id(1)])


def test_the_map_grows_by_itself(tmp_path):
    index = Index.open(tmp_path / "index", VAULT, map_bytes=1 << 17)
    for first in range(0, 20_000, 5000):
        index.apply(
            IndexBatch(
                records=[row(seed) for seed in range(first, first + 5000)], position=Position(1, first, bytes(32))
            )
        )
    assert index.record_count() == 20_000
    assert index.position() == (1, 15_000, bytes(32))
    assert index.lookup(KEYRING, [make_id(19_999)]) == [location(19_999)]


def test_growing_waits_for_readers_and_readers_for_growing(tmp_path):
    index = Index.open(tmp_path / "index", VAULT, map_bytes=1 << 17)
    index.apply(IndexBatch(records=[row(0)]))
    stop = threading.Event()
    failures = []

    def look():
        while not stop.is_set():
            if index.lookup(KEYRING, [make_id(0)]) != [location(0)]:
                failures.append("lost")

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for first in range(1, 12_000, 3000):
            index.apply(IndexBatch(records=[row(seed) for seed in range(first, first + 3000)]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_first_wins_only_where_it_is_asked_for(tmp_path):
    index = Index.open(tmp_path / "index", VAULT)
    index.apply(IndexBatch(records=[row(1)]))
    index.apply(IndexBatch(records=[row(1, container=2)], first_wins=True))
    assert index.lookup(KEYRING, [make_id(1)]) == [location(1)]
    index.apply(IndexBatch(records=[row(1, container=2)]))
    assert index.lookup(KEYRING, [make_id(1)]) == [location(1, container=2)]


def test_a_row_in_a_container_that_was_given_up_does_not_win(tmp_path):
    index = Index.open(tmp_path / "index", VAULT)
    index.apply(IndexBatch(records=[row(1), row(2, container=3)]))
    index.give_up([1])
    index.apply(IndexBatch(records=[row(seed, container=2) for seed in (1, 2, 3)], first_wins=True))
    found = index.lookup(KEYRING, [make_id(seed) for seed in (1, 2, 3)])
    assert found == [location(1, container=2), location(2, container=3), location(3, container=2)]


def test_of_two_whose_keys_were_given_up_the_one_that_is_there_stays(tmp_path):
    """Both are whole, and it is the later one; its key may be taken back when the other one is gone."""
    given_up, good = b"g" * 16, b"o" * 16
    index = Index.open(tmp_path / "index", VAULT)
    index.apply(IndexBatch(records=[row(seed) for seed in (1, 2, 3)]))
    index.apply(IndexBatch(damaged=[(make_id(3), location(3))]))
    index.give_up_keys(KEYRING, [KEY, given_up])
    found = [row(1, container=2, key=given_up), row(2, container=2, key=good), row(3, container=2, key=given_up)]
    index.apply(IndexBatch(records=found, first_wins=True))
    places = index.lookup(KEYRING, [make_id(seed) for seed in (1, 2, 3)])
    assert [(place.container, place.is_damaged) for place in places] == [(1, True), (2, False), (2, True)]


def test_a_damaged_row_does_not_win(tmp_path):
    path = tmp_path / "index"
    index = Index.open(path, VAULT)
    index.apply(IndexBatch(records=[row(1), row(2)]))
    index.close()
    key = b"\0\0\0\1" + make_id(1)
    overwrite(path, b"records", key, bytes(len(raw(path, b"records")[key])))
    index = Index.open(path, VAULT)
    index.apply(IndexBatch(records=[row(seed, container=2) for seed in (1, 2)], first_wins=True))
    assert index.lookup(KEYRING, [make_id(1), make_id(2)]) == [location(1, container=2), location(2)]


def test_an_index_of_another_vault_or_format_is_refused(tmp_path):
    path = tmp_path / "index"
    Index.open(path, VAULT).close()
    with pytest.raises(StoreError, match="index of vault"):
        Index.open(path, b"v" * 16)
    overwrite(path, b"meta", b"format", b"\2\0\0\0")
    with pytest.raises(FormatError, match="unknown"):
        Index.open(path, VAULT)


def test_a_file_that_is_no_index_is_a_clear_error(tmp_path):
    path = tmp_path / "index"
    path.mkdir()
    (path / "data.mdb").write_bytes(b"nonsense" * 2000)
    with pytest.raises(StoreError, match="vaultd rebuild DIR"):
        Index.open(path, VAULT)
