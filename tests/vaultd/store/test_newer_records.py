"""A record of a later version that the journal, the index or a directory names stops the vault: it is never damage."""

import shutil
import struct

import msgpack
import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import (
    KEY,
    KEYRING,
    create,
    make_companion,
    make_id,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
    short_hash,
    stored,
)
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.containers.open_containers import StoredRecord
from vaultd.store.disk_door import SystemDoor
from vaultd.store.errors import NewerFormat
from vaultd.store.index.acknowledged import acknowledge_entry, read_groups
from vaultd.store.journal.format import EntryKind, RawEntry, decode_entry, encode_entry
from vaultd.store.position import Position
from vaultd.store.record_format import RecordHeader

CONTAINER = "disk0/containers/0000/000000000001.container"
LATER = [{"version": 2}, {"type": 5}, {"suite": 3}, {"flags": 1}]


def later_bytes(seed: int, version: int = 1, suite: int = 1, type: int = 1, flags: int = 0) -> bytes:
    head = struct.pack("<4sBBBB16s16s32sI", b"SSR1", version, suite, type, flags, KEYRING, KEY, make_id(seed), 100)
    return head + short_hash(head) + bytes(100)


def later_record(seed: int, **fields: int) -> StoredRecord:
    record = later_bytes(seed, **fields)
    header = RecordHeader(True, 1, 1, KEYRING, KEY, make_id(seed), 100)
    return StoredRecord(header, blake3(record).digest(), memoryview(record))


def filled(settings, fields, *, sealed):
    store = create(settings)
    store.append(0, [*records(9), later_record(1, **fields)])
    store.commit()
    if sealed:
        store.append(0, records(2, 3, 4, size=20_000))
        store.commit()
    store.close()


def start_without_index(settings):
    shutil.rmtree(settings.index_path)
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    try:
        return store.recover(lambda key: True)
    finally:
        store.close()


@pytest.mark.parametrize("fields", LATER)
def test_a_read_stops_and_flags_nothing(tmp_path, fields):
    settings = make_settings(tmp_path)
    filled(settings, fields, sealed=True)
    store = reopen(settings)
    with pytest.raises(NewerFormat, match="is unknown|are unknown"):
        read(store, 1)
    assert store.missing(KEYRING, [make_id(1)]) == [False]
    store.close()


@pytest.mark.parametrize("fields", LATER)
def test_a_start_stops_at_one_in_an_open_container(tmp_path, fields):
    settings = make_settings(tmp_path)
    filled(settings, fields, sealed=False)
    before = (tmp_path / CONTAINER).read_bytes()
    with pytest.raises(NewerFormat, match="later version"):
        reopen(settings)
    assert (tmp_path / CONTAINER).read_bytes() == before


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("fields", LATER)
def test_a_start_without_index_stops(tmp_path, fields, sealed):
    settings = make_settings(tmp_path)
    filled(settings, fields, sealed=sealed)
    with pytest.raises(NewerFormat, match="later version"):
        start_without_index(settings)


def test_a_start_stops_also_behind_damage(tmp_path):
    settings = make_settings(tmp_path)
    filled(settings, {"version": 2}, sealed=False)
    path = tmp_path / CONTAINER
    data = bytearray(path.read_bytes())
    data[data.index(b"SSR1") + 20] ^= 1  # of the record before it
    path.write_bytes(data)
    with pytest.raises(NewerFormat):
        start_without_index(settings)


def test_bytes_in_a_body_that_look_like_a_later_record_stop_nothing(tmp_path):
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, [stored(make_companion(later_bytes(1, version=2) * 3)), *records(2)])
    store.commit()
    store.close()
    path = tmp_path / CONTAINER
    data = bytearray(path.read_bytes())
    data[data.index(b"SSC1") + 20] ^= 1
    path.write_bytes(data)
    report = start_without_index(settings)
    assert any("damaged" in finding.sentence for finding in report.findings)


def test_a_record_of_a_later_version_that_is_damaged_is_damage(tmp_path):
    settings = make_settings(tmp_path)
    filled(settings, {"version": 2}, sealed=False)
    path = tmp_path / CONTAINER
    data = bytearray(path.read_bytes())
    data[data.index(later_bytes(1, version=2)) + 100] ^= 1
    path.write_bytes(data)
    assert any("damaged" in finding.sentence for finding in start_without_index(settings).findings)


def test_a_group_with_more_fields_is_of_a_later_version():
    row = [1, b"d" * 16, 8192, bytes(32), "later"]
    payload = msgpack.packb({"changes": [], "details": {"containers": [row]}})
    data, _ = encode_entry(EntryKind.group, Position(1, 0, bytes(32)), 0, payload)
    entry: RawEntry = decode_entry(memoryview(data), 0)
    for reader in (lambda: acknowledge_entry({}, entry), lambda: read_groups([entry], 1)):
        with pytest.raises(NewerFormat, match="journal entry 1 with 5 fields"):
            reader()
