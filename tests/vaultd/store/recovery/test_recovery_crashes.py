"""A crash or a power cut at every call of what stores and of what recovers: what was acknowledged is there."""

import shutil

import pytest

from tests.vaultd.store.fakes import (
    Crash,
    CrashingDoor,
    PowerLossDoor,
    create,
    make_record,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
)
from vaultd.store.check.check import check_store
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity
from vaultd.store.journal.format import EntryKind, JournalEntry

SIZE = 20_000
CONTAINER = "disk0/containers/0000/000000000001.container"


def entry(number):
    return JournalEntry(EntryKind.catalog, {}, [("t", b"%d" % number, b"x" * 700)])


def prepare(root, disks=2):
    settings = make_settings(root, disks=disks, journal_segment_bytes=4096)
    store = create(settings)
    store.append(0, records(0, size=SIZE))
    store.commit([entry(0)])
    store.close()
    return settings


def work(settings, door, acknowledged):
    """Three commits on both disks, with roll-over of containers and of the journal."""
    store = None
    try:
        store = reopen(settings, door)
        for number in range(1, 4):
            store.append(number % 2, records(number * 10, number * 10 + 1, number * 10 + 2, size=SIZE))
            store.commit([entry(number)])
            acknowledged.append(number)
        return True
    except Crash:
        return False
    finally:
        if store:
            store.close()


def check_survival(settings, acknowledged):
    for _ in range(2):  # recovery of what was recovered finds nothing to do
        store = ChunkStore.open(settings, SystemDoor(), now_ns)
        report = store.recover(lambda key: True)
        assert [finding for finding in report.findings if finding.severity is Severity.damage] == []
        assert read(store, 0) == make_record(0, SIZE)
        for number in range(1, 4):
            held = [read(store, number * 10 + at) for at in range(3)]
            expected = [make_record(number * 10 + at, SIZE) for at in range(3)]
            is_right_or_absent = all(one in (None, right) for one, right in zip(held, expected, strict=True))
            assert held == expected or (number not in acknowledged and is_right_or_absent)
        replayed = [int(item.changes[0][1]) for _, _, item in store.replay(0) if item.kind == EntryKind.catalog]
        assert replayed == list(range(len(replayed)))
        assert len(replayed) >= 1 + len(acknowledged)
        store.close()
    assert report.records_indexed == 0
    checked = check_store(settings, SystemDoor(), read_data=True)
    assert checked.findings == []
    store = reopen(settings)
    store.append(0, records(99, size=SIZE))
    store.commit([entry(len(replayed))])
    assert read(store, 99) == make_record(99, SIZE)
    store.close()


@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_after_every_call_is_survived(tmp_path, torn):
    template = tmp_path / "template"
    template.mkdir()
    prepare(template)
    crash_at = 0
    done = False
    while not done:
        crash_at += 1
        root = tmp_path / "run"
        shutil.copytree(template, root)
        settings = make_settings(root, disks=2, journal_segment_bytes=4096)
        acknowledged = []
        done = work(settings, CrashingDoor(crash_at, torn=torn), acknowledged)
        check_survival(settings, acknowledged)
        shutil.rmtree(root)
    assert crash_at > 40


def test_a_power_cut_after_every_call_is_survived(tmp_path):
    template = tmp_path / "template"
    template.mkdir()
    prepare(template)
    crash_at = 0
    done = False
    while not done:
        crash_at += 1
        root = tmp_path / "run"
        shutil.copytree(template, root)
        settings = make_settings(root, disks=2, journal_segment_bytes=4096)
        door = PowerLossDoor(list(settings.disk_paths), crash_at)
        acknowledged = []
        done = work(settings, door, acknowledged)
        door.cut_power()
        check_survival(settings, acknowledged)
        shutil.rmtree(root)
    assert crash_at > 40


@pytest.mark.parametrize("disks", [1, 2])
def test_what_recovery_took_from_a_killed_process_survives_a_power_cut(tmp_path, disks):
    """The page cache outlives a killed process: what it holds was read, and must be synced before it is applied."""
    template = tmp_path / "template"
    template.mkdir()
    prepare(template, disks)
    crash_at = 0
    done = False
    while not done:
        crash_at += 1
        root = tmp_path / "run"
        shutil.copytree(template, root)
        settings = make_settings(root, disks=disks, journal_segment_bytes=4096)
        door = PowerLossDoor(list(settings.disk_paths), crash_at)
        acknowledged = []
        done = work(settings, door, acknowledged)
        door.crash_at = 1 << 30
        reopen(settings, door).close()
        door.cut_power()
        check_survival(settings, acknowledged)
        shutil.rmtree(root)


def test_a_crash_in_recovery_is_survived(tmp_path):
    template = tmp_path / "template"
    template.mkdir()
    settings = prepare(template)
    acknowledged = []
    # Between the journal's sync and the index: as much as possible is left to recovery.
    door = CrashingDoor(0, torn=True)
    door.crash_at = calls_until_index(tmp_path, template)
    assert not work(settings, door, acknowledged)
    crash_at = 0
    while True:
        crash_at += 1
        root = tmp_path / "run"
        shutil.copytree(template, root)
        settings = make_settings(root, disks=2, journal_segment_bytes=4096)
        crashing = CrashingDoor(crash_at, torn=True)
        try:
            reopen(settings, crashing).close()
        except Crash:
            check_survival(settings, acknowledged)
            shutil.rmtree(root)
            continue
        break
    assert crash_at > 1


def calls_until_index(tmp_path, template):
    """How many calls the work makes up to the first sync of the second journal copy in its second commit."""
    root = tmp_path / "counting"
    shutil.copytree(template, root)
    door = CrashingDoor(1 << 30, torn=False)
    settings = make_settings(root, disks=2, journal_segment_bytes=4096)
    assert work(settings, door, [])
    return door.count - 3
