import shutil

import lmdb
import pytest

from tests.vaultd.store.fakes import NOW_NS, VAULT, create, flip, make_id, make_settings, records
from vaultd.store.check.check import check_store
from vaultd.store.disk_door import SystemDoor
from vaultd.store.erase_keys.erase_keys import EraseKeys
from vaultd.store.erase_keys.file import Owner, OwnerKind
from vaultd.store.findings import Severity
from vaultd.store.index.checkpoint import CheckpointHeader, write_checkpoint
from vaultd.store.journal.format import EntryKind, JournalEntry

SEALED = "disk0/containers/0000/000000000001.container"
OPEN = "disk0/containers/0000/000000000002.container"
SIZE = 20_000
OWNER = Owner(OwnerKind.job, b"J" * 16)


@pytest.fixture
def settings(tmp_path):
    made = make_settings(tmp_path, disks=2)
    store = create(made)
    store.append(0, records(1, 2, 3, 4, size=SIZE))
    position = store.commit([JournalEntry(EntryKind.catalog, {}, [("t", b"k", b"v")])])
    write_checkpoint(
        SystemDoor(),
        store.disks.copy_directories("checkpoints"),
        CheckpointHeader(VAULT, position, NOW_NS),
        [("t", b"k", b"v")],
    )
    EraseKeys(SystemDoor(), store.disks.copy_directories("erase-keys")).create(OWNER)
    store.close()
    return made


def check(settings, *, read_data=True):
    return check_store(settings, SystemDoor(), read_data=read_data)


def damage(settings, *, read_data=True):
    return [found for found in check(settings, read_data=read_data).findings if found.severity is Severity.damage]


@pytest.mark.parametrize("read_data", [True, False])
def test_a_good_store_has_no_findings(settings, tmp_path, read_data):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report = check(settings, read_data=read_data)
    assert report.findings == []
    assert not report.is_damaged
    counts = report.counts
    assert (counts.disks, counts.journal_entries, counts.checkpoints, counts.containers) == (2, 4, 2, 2)
    assert (counts.records_in_containers, counts.records_in_index, counts.erase_keys) == (4, 4, 1)
    assert counts.record_bytes_in_containers == 4 * (84 + SIZE)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_flipped_body_is_found_with_read_data_only(settings, tmp_path):
    for name, seed in ((SEALED, 2), (OPEN, 4)):
        path = tmp_path / name
        offset = path.read_bytes().index(make_id(seed)) + 1000
        flip(path, offset)
        assert damage(settings, read_data=False) == []
        found = damage(settings)
        assert found
        assert all(make_id(seed).hex() in finding.sentence and finding.place == str(path) for finding in found)
        flip(path, offset)


@pytest.mark.parametrize("read_data", [True, False])
def test_a_flipped_byte_anywhere_else_in_a_container_is_found(settings, tmp_path, read_data):
    path = tmp_path / SEALED
    data = path.read_bytes()
    headers = [data.index(make_id(seed)) - 40 for seed in (1, 2, 3)]
    bodies = {at for start in headers for at in range(start + 84, start + 84 + SIZE)}
    places = {0, 20, 50, 4000} | {start + at for start in headers for at in range(0, 84, 7)}
    places |= {at for at in range(headers[2] + 84 + SIZE, len(data), 211)}
    for at in sorted(places - bodies):
        flip(path, at)
        assert damage(settings, read_data=read_data), at
        flip(path, at)


def test_lost_and_shortened_containers_are_found(settings, tmp_path):
    path = tmp_path / OPEN
    path.write_bytes(path.read_bytes()[:-1])
    assert damage(settings, read_data=False)
    path.unlink()
    assert any("gone" in finding.sentence for finding in damage(settings, read_data=False))


def test_one_bad_copy_of_the_journal_is_a_warning_and_two_are_damage(settings, tmp_path):
    flip(tmp_path / "disk0/journal/0000000000000001.journal", 130)
    report = check(settings)
    (finding,) = report.findings
    assert finding.severity is Severity.warning
    assert finding.sentence == "this copy of the journal is damaged; the other copy holds"
    flip(tmp_path / "disk1/journal/0000000000000001.journal", 130)
    assert damage(settings)


def test_a_damaged_index_row_is_named(settings):
    with lmdb.open(str(settings.index_path), max_dbs=8) as environment:
        database = environment.open_db(b"records", create=False)
        with environment.begin(write=True, db=database) as transaction:
            key = b"\0\0\0\1" + make_id(2)
            value = bytearray(transaction.get(key))
            value[9] ^= 1
            transaction.put(key, bytes(value))
    (finding,) = damage(settings, read_data=False)
    assert make_id(2).hex() in finding.sentence


def test_a_missing_index_is_a_warning(settings):
    shutil.rmtree(settings.index_path)
    report = check(settings)
    assert [finding.severity for finding in report.findings] == [Severity.warning]


def test_damaged_checkpoints_and_erase_keys_are_named(settings, tmp_path):
    checkpoint = next((tmp_path / "disk1/checkpoints").iterdir())
    flip(checkpoint, 140)
    keys = [tmp_path / f"disk{number}/erase-keys/{OWNER.id.hex()}.key" for number in (0, 1)]
    flip(keys[0], 30)
    found = {finding.place: (finding.severity.value, finding.sentence) for finding in check(settings).findings}
    assert found == {
        str(checkpoint): (
            "warning",
            f"this copy of the checkpoint is damaged: {checkpoint}: the block at offset 132 is damaged; "
            "the other copy holds",
        ),
        str(keys[0]): (
            "warning",
            "this copy of the erase key is damaged or of another owner; the other copy holds",
        ),
    }
    flip(next((tmp_path / "disk0/checkpoints").iterdir()), 140)
    flip(keys[1], 30)
    assert {finding.place for finding in damage(settings)} > {str(checkpoint), str(keys[0])}


def test_an_offline_disk_is_a_warning(settings, tmp_path):
    (tmp_path / "disk0").rename(tmp_path / "away")
    report = check(settings)
    assert not report.is_damaged
    assert any("offline" in finding.sentence for finding in report.findings)
    (tmp_path / "disk1").rename(tmp_path / "away1")
    assert check(settings).is_damaged
