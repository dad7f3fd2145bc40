"""The offline check holds checkpoints against what is there."""

import shutil
import struct

import msgpack
import pytest

from tests.vaultd.store.fakes import NOW_NS, VAULT, create, make_settings, records
from vaultd.store.check.check import check_store
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity
from vaultd.store.index.checkpoint import CheckpointHeader, container_rows, write_checkpoint
from vaultd.store.journal.format import EntryKind, JournalEntry
from vaultd.store.position import Position

SIZE = 20_000
ROW = ("t", b"k", b"v")


def entry(number):
    return JournalEntry(EntryKind.catalog, {}, [("t", b"%d" % number, b"x" * 700)])


def write(store, position, rows):
    header = CheckpointHeader(VAULT, position, NOW_NS)
    write_checkpoint(SystemDoor(), store.disks.copy_directories("checkpoints"), header, rows)


@pytest.fixture
def settings(tmp_path):
    """One sealed and one open container, a checkpoint, and a journal of several segments."""
    made = make_settings(tmp_path, disks=2, journal_segment_bytes=4096)
    store = create(made)
    store.append(0, records(1, 2, 3, 4, size=SIZE))
    for number in range(8):
        position = store.commit([entry(number)])
    write(store, position, [ROW, *container_rows(store.containers())])
    store.close()
    return made


def findings(settings, severity=None):
    report = check_store(settings, SystemDoor(), read_data=False)
    return [found for found in report.findings if severity in (None, found.severity)]


def test_the_rows_of_containers_byte_by_byte(tmp_path):
    store = create(make_settings(tmp_path))
    store.append(0, records(1, 2, 3, 4, size=SIZE))
    store.commit()
    disk_id = store.disks.online[0].disk_id
    sealed = (tmp_path / "disk0/containers/0000/000000000001.container").stat().st_size
    opened = (tmp_path / "disk0/containers/0000/000000000002.container").stat().st_size
    assert list(container_rows(store.containers())) == [
        ("containers", struct.pack(">Q", 1), msgpack.packb([disk_id, sealed, True])),
        ("containers", struct.pack(">Q", 2), msgpack.packb([disk_id, opened, False])),
    ]


def test_a_missing_copy_is_a_warning(settings, tmp_path):
    assert findings(settings) == []
    path = next((tmp_path / "disk1/checkpoints").iterdir())
    path.unlink()
    assert [(found.severity, found.place) for found in findings(settings)] == [(Severity.warning, str(path))]


@pytest.mark.parametrize("number", [8, 11, 50])
def test_a_checkpoint_of_another_journal_is_damage(settings, tmp_path, number):
    for disk in (0, 1):
        shutil.rmtree(tmp_path / f"disk{disk}/checkpoints")
    directories = [tmp_path / f"disk{disk}/checkpoints" for disk in (0, 1)]
    header = CheckpointHeader(VAULT, Position(1, number, b"?" * 32), NOW_NS)
    write_checkpoint(SystemDoor(), directories, header, [ROW])
    found = findings(settings, Severity.damage)
    assert len(found) == 3
    assert all("journal" in finding.sentence and "checkpoints" in finding.place for finding in found[:2])
    assert found[2].sentence == "no checkpoint is left that could be used"


def test_containers_are_held_against_the_newest_checkpoint_of_this_journal(settings, tmp_path):
    """One of another history says nothing about them."""
    directories = [tmp_path / f"disk{disk}/checkpoints" for disk in (0, 1)]
    header = CheckpointHeader(VAULT, Position(1, 50, b"?" * 32), NOW_NS)
    row = ("containers", struct.pack(">Q", 77), msgpack.packb([b"d" * 16, 8192, True]))
    write_checkpoint(SystemDoor(), directories, header, [row])
    assert len(findings(settings, Severity.damage)) == 2
    path = tmp_path / "disk0/containers/0000/000000000001.container"
    path.unlink()
    shutil.rmtree(settings.index_path)
    assert any(found.place == str(path) for found in findings(settings, Severity.damage))


def test_a_lost_container_is_noticed_by_the_checkpoint_alone(settings, tmp_path):
    path = tmp_path / "disk0/containers/0000/000000000001.container"
    path.unlink()
    shutil.rmtree(settings.index_path)
    for disk in (0, 1):
        for segment in sorted((tmp_path / f"disk{disk}/journal").iterdir())[:-1]:
            segment.unlink()
    assert any(found.place == str(path) and "gone" in found.sentence for found in findings(settings, Severity.damage))


@pytest.mark.parametrize("what", ["another disk", "longer", "no row"])
def test_a_row_that_cannot_be_is_damage(settings, tmp_path, what):
    disk_id = (tmp_path / "disk0/disk.id").read_bytes()[24:40]
    size = (tmp_path / "disk0/containers/0000/000000000001.container").stat().st_size
    values = {"another disk": [b"d" * 16, size, True], "longer": [disk_id, size + 4096, True], "no row": [1]}
    value = msgpack.packb(values[what])
    directories = [tmp_path / f"disk{disk}/checkpoints" for disk in (0, 1)]
    name = next(directories[0].iterdir()).name
    raw = (directories[0] / name).read_bytes()
    (number,) = struct.unpack_from("<Q", raw, 32)
    position = Position(1, number, raw[40:72])
    for directory in directories:
        shutil.rmtree(directory)
    row = ("containers", struct.pack(">Q", 1), value)
    write_checkpoint(SystemDoor(), directories, CheckpointHeader(VAULT, position, NOW_NS), [row])
    (finding,) = findings(settings, Severity.damage)
    assert "container" in finding.sentence
