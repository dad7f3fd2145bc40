"""What a start takes from containers, cuts, names and leaves alone."""

import shutil

import msgspec
import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import (
    KEY,
    KEYRING,
    create,
    flip,
    make_companion,
    make_id,
    make_record,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
    short_hash,
    stored,
)
from vaultd.store.check.check import check_store
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import DiskMissing, NewerFormat
from vaultd.store.findings import Severity
from vaultd.store.journal.format import EntryKind, JournalEntry

SIZE = 20_000
CONTAINER = "disk0/containers/0000/000000000001.container"


def entry(number):
    return JournalEntry(EntryKind.catalog, {}, [("t", b"%d" % number, b"x" * 700)])


@pytest.fixture
def committed(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1, 2, 3))
    store.commit()
    store.close()
    return settings


def findings(settings, **kwargs):
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    report = store.recover(lambda key: True)
    store.close()
    return report.findings


def test_bytes_above_the_acknowledged_length_are_cut(tmp_path, committed):
    path = tmp_path / CONTAINER
    before = path.read_bytes()
    for tail in (b"\0" * 9000, make_record(9), b"garbage", before[4096:]):
        path.write_bytes(before + tail)
        assert findings(committed) == []
        assert path.read_bytes() == before


@pytest.mark.parametrize("at", [30, 100, 184 + 10, 184 + 120, 3 * 184 + 3, 4095])
def test_damage_below_the_acknowledged_length_is_named_and_stays(tmp_path, committed, at):
    path = tmp_path / CONTAINER
    flip(path, 4096 + at)
    before = path.read_bytes()
    (finding,) = findings(committed)
    assert finding.severity is Severity.damage
    assert finding.place == str(path)
    assert path.read_bytes() == before
    store = reopen(committed)
    store.append(0, records(4))
    store.commit()
    assert path.read_bytes() == before  # the damaged container takes no more
    assert read(store, 4) == make_record(4)
    intact = [seed for seed in (1, 2, 3) if not 184 * (seed - 1) <= at < 184 * seed]
    assert all(read(store, seed) == make_record(seed) for seed in intact)


def test_a_shortened_and_a_lost_container_are_damage(tmp_path, committed):
    path = tmp_path / CONTAINER
    path.write_bytes(path.read_bytes()[:4200])
    assert any("acknowledged" in finding.sentence for finding in findings(committed))
    path.unlink()
    assert any("gone" in finding.sentence for finding in findings(committed))


def lose_index(settings):
    shutil.rmtree(settings.index_path)


def test_a_lost_index_is_rebuilt(tmp_path):
    settings = make_settings(tmp_path, disks=2)
    store = create(settings)
    for first in range(0, 30, 3):
        store.append(first % 2, records(first, first + 1, first + 2, size=9000))
        store.commit([entry(first)])
    rows = [(row.key, row.location) for row in store._index.rows()]
    containers = store._index.containers()
    store.close()
    lose_index(settings)
    store = reopen(settings)
    assert [(row.key, row.location) for row in store._index.rows()] == rows
    rebuilt = store._index.containers()
    assert all(containers[number].first_entry <= row.first_entry for number, row in rebuilt.items())
    assert {number: msgspec.structs.replace(row, first_entry=0) for number, row in rebuilt.items()} == {
        number: msgspec.structs.replace(row, first_entry=0) for number, row in containers.items()
    }
    assert all(read(store, seed) == make_record(seed, 9000) for seed in range(30))


def test_an_older_copy_of_the_index_catches_up(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1, size=SIZE))
    store.commit()
    store.close()
    shutil.copytree(settings.index_path, tmp_path / "old")
    store = reopen(settings)
    store.append(0, records(2, 3, 4, 5, size=SIZE))
    store.commit()
    store.close()
    lose_index(settings)
    shutil.move(tmp_path / "old", settings.index_path)
    store = reopen(settings)
    assert all(read(store, seed) == make_record(seed, SIZE) for seed in range(1, 6))


def test_records_of_an_unknown_key_are_not_indexed(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    other = b"?" * 16
    store.append(0, [stored(make_record(1)), stored(make_record(2, key=other)), stored(make_companion(b"c"))])
    store.commit()
    store.close()
    lose_index(settings)
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    report = store.recover(lambda key: key == KEY)
    assert (report.records_indexed, report.records_without_key) == (2, 1)
    assert store.missing(KEYRING, [make_id(1), make_id(2)]) == [False, True]


def test_an_unknown_container_of_a_later_version_stops_and_stays(tmp_path):
    """The journal does not know it, and one of this version would be removed."""
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1))
    store.commit()
    store.close()
    data = bytearray((tmp_path / CONTAINER).read_bytes())
    data[4] = 2
    path = (tmp_path / CONTAINER).with_name("000000000009.container")
    path.write_bytes(bytes(data[:44]) + short_hash(bytes(data[:44])) + bytes(data[52:]))
    before = path.read_bytes()
    with pytest.raises(NewerFormat, match=f"{path}.* version 2 was written by a later version"):
        reopen(settings)
    assert path.read_bytes() == before


def test_what_looks_like_a_trailer_of_a_later_version_in_a_customers_bytes_stops_nobody(tmp_path):
    """A crash may leave a container that ends in the middle of a record's body, which may hold anything."""
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1))
    store.commit()
    store.close()
    head = b"SSF2" + bytes(36)
    data = (tmp_path / CONTAINER).read_bytes()[:4096] + (head + short_hash(head)).ljust(4096, b"\0")
    path = (tmp_path / CONTAINER).with_name("000000000009.container")
    path.write_bytes(data)
    reopen(settings)
    assert not path.exists()


def test_damage_costs_a_rebuild_only_what_it_hit(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(1, 2, 3, 4, size=SIZE))  # the first three are sealed with a directory
    store.commit()
    store.append(0, records(5))
    store.append(0, records(6))
    store.commit()
    store.append(0, records(7))
    store.commit()
    store.close()
    lose_index(settings)
    flip(tmp_path / CONTAINER, 4096 + 84 + 500)
    second = tmp_path / CONTAINER.replace("1.container", "2.container")
    flip(second, second.read_bytes().index(make_id(5)))
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    report = store.recover(lambda key: True)
    assert {finding.place for finding in report.findings} == {str(tmp_path / CONTAINER), str(second)}
    held = [seed for seed in range(1, 8) if read(store, seed)]
    assert held == [2, 3, 4, 6, 7]


def test_what_looks_like_a_record_inside_a_damaged_one_is_not_believed(tmp_path):
    """A customer may put anything into a body, also a header that names the keyring of another."""
    settings = make_settings(tmp_path)
    store = create(settings)
    forged = make_record(66, 50, keyring=b"victim".ljust(16))
    host = make_record(1, len(forged))
    host = host[:84] + forged
    store.append(0, [stored(host)])
    store.commit()
    store.close()
    lose_index(settings)
    flip(tmp_path / CONTAINER, 4096 + 20)
    store = reopen(settings)
    assert store.missing(b"victim".ljust(16), [make_id(66)]) == [True]


def test_a_container_that_was_never_acknowledged_is_removed(tmp_path, committed):
    left = tmp_path / "disk0/containers/0000/000000000002.container"
    left.write_bytes(b"anything")
    assert findings(committed) == []
    assert not left.exists()


def test_a_rebuild_keeps_even_those_beside(tmp_path, committed):
    left = tmp_path / "disk0/containers/0000/000000000002.container"
    left.write_bytes(b"anything")
    lose_index(committed)
    (finding,) = findings(committed)
    assert "renamed" in finding.sentence
    hash_ = blake3(b"anything").hexdigest(length=16)
    assert left.with_name(f"{left.name}.{hash_}.unacknowledged").read_bytes() == b"anything"


def test_an_offline_disk_is_not_damage(tmp_path):
    settings = make_settings(tmp_path, disks=3)
    store = create(settings)
    store.append(2, records(1))
    store.append(0, records(2))
    store.commit()
    store.close()
    (tmp_path / "disk2").rename(tmp_path / "away")
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    report = store.recover(lambda key: True)
    assert {finding.severity for finding in report.findings} == {Severity.warning}
    assert read(store, 2) == make_record(2)
    with pytest.raises(DiskMissing, match="offline"):
        read(store, 1)
    store.append(2, records(3))
    store.commit()
    store.close()
    (tmp_path / "away").rename(tmp_path / "disk2")
    store = reopen(settings)
    assert [read(store, seed) for seed in (1, 2, 3)] == [make_record(seed) for seed in (1, 2, 3)]


def test_a_returning_journal_disk_is_brought_up(tmp_path):
    settings = make_settings(tmp_path, disks=2)
    create(settings).close()
    (tmp_path / "disk0").rename(tmp_path / "away")
    store = reopen(settings)
    store.append(0, records(1))
    store.commit([entry(0)])
    store.close()
    (tmp_path / "away").rename(tmp_path / "disk0")
    reopen(settings).close()
    name = "journal/0000000000000001.journal"
    assert (tmp_path / "disk0" / name).read_bytes() == (tmp_path / "disk1" / name).read_bytes()
    (tmp_path / "disk1").rename(tmp_path / "away")
    store = reopen(settings)
    assert len(list(store.replay(0))) == 2


def test_a_stray_file_among_the_containers_is_left_alone(tmp_path, committed):
    settings = committed
    stray = [tmp_path / "disk0" / "containers" / name for name in (".DS_Store", "lost+found")]
    for path in stray:
        path.write_bytes(b"not ours")
    store = reopen(settings)
    assert read(store, 1) == make_record(1)
    store.close()
    assert check_store(settings, SystemDoor(), read_data=True).findings == []
    assert all(path.read_bytes() == b"not ours" for path in stray)
