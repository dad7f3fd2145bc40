"""Two copies of the journal with different histories: one wins, the other is kept, because it may hold what was
acknowledged while only its disk was there."""

import shutil

import pytest

from tests.vaultd.store.fakes import (
    VAULT,
    Crash,
    CrashingDoor,
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
from vaultd.store.errors import StoreError
from vaultd.store.findings import Severity
from vaultd.store.journal.format import EntryKind, JournalEntry, encode_payload
from vaultd.store.journal.journal import Journal, JournalSettings
from vaultd.store.journal.recovery import Applied
from vaultd.store.position import Position

START = Position(1, 0, bytes(32))
SIZE = 1500  # of an entry: two fit a segment


def settings(root, copies):
    directories = [root / f"j{copy}" for copy in copies]
    for directory in directories:
        directory.mkdir(exist_ok=True, parents=True)
    return JournalSettings(directories, VAULT, 4096, now_ns)


def write(journal, *texts):
    for text in texts:
        payload = encode_payload(JournalEntry(EntryKind.catalog, {}, [("t", text.encode(), b"x" * SIZE)]))
        journal.append(EntryKind.catalog, payload)
    position = journal.sync()
    journal.close()
    return position


def texts(journal):
    return [raw.decode().changes[0][1].decode() for raw in journal.read_from(1)]


def open_journal(how, applied=None, catalog=START, door=None):
    return Journal.open(door or SystemDoor(), how, Applied(applied, catalog))


def fork(root, common, first, second):
    """Both copies hold `common`; then each goes on alone. The ends of the two."""
    write(Journal.create(SystemDoor(), settings(root, (0, 1))), *common)
    ends = []
    for copy, own in ((0, first), (1, second)):
        ends.append(write(open_journal(settings(root, (copy,))), *own))
    return ends


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def kept(root):
    """By copy, the bytes of what was kept beside."""
    return [[data for name, data in contents(root / f"j{copy}").items() if "forked" in name] for copy in (0, 1)]


COMMON = [f"c{number}" for number in range(3)]
FIRST = [f"a{number}" for number in range(4)]
SECOND = [f"b{number}" for number in range(7)]


@pytest.mark.parametrize("common", [COMMON[:1], COMMON[:2], COMMON])
def test_the_longer_history_wins_and_the_other_is_kept(tmp_path, common):
    fork(tmp_path, common, FIRST, SECOND)
    lost = [data for data in contents(tmp_path / "j0").values() if any(text.encode() in data for text in FIRST)]
    journal = open_journal(settings(tmp_path, (0, 1)))
    assert texts(journal) == common + SECOND
    first, second = kept(tmp_path)
    assert sorted(first) == sorted(lost)
    assert second == []
    assert [item.severity for item in journal.findings].count(Severity.damage) == len(lost)
    write(journal, "next")
    again = open_journal(settings(tmp_path, (0, 1)))
    assert again.findings == []
    assert texts(again) == [*common, *SECOND, "next"]
    assert sorted(kept(tmp_path)[0]) == sorted(lost)


@pytest.mark.parametrize("by", ["index", "catalog"])
@pytest.mark.parametrize("winner", [0, 1])
def test_the_history_that_was_applied_wins(tmp_path, by, winner):
    ends = fork(tmp_path, COMMON, FIRST, SECOND)
    applied = Applied(ends[winner]) if by == "index" else Applied(None, ends[winner])
    journal = Journal.open(SystemDoor(), settings(tmp_path, (0, 1)), applied)
    assert texts(journal) == COMMON + (FIRST, SECOND)[winner]
    assert kept(tmp_path)[winner] == []
    assert kept(tmp_path)[1 - winner] != []


def test_a_fork_far_behind_what_was_applied_is_kept_too(tmp_path):
    (_, second) = fork(tmp_path, COMMON, FIRST, SECOND)
    end = write(open_journal(settings(tmp_path, (1,)), second), *[f"d{number}" for number in range(20)])
    journal = open_journal(settings(tmp_path, (0, 1)), end)
    assert texts(journal) == COMMON + SECOND + [f"d{number}" for number in range(20)]
    everything = b"".join(kept(tmp_path)[0])
    assert all(text.encode() in everything for text in FIRST)
    assert any(item.severity is Severity.damage for item in journal.findings)
    journal.close()
    assert open_journal(settings(tmp_path, (0, 1)), end).findings == []


def test_a_crash_after_every_call_keeps_both_histories(tmp_path):
    template = tmp_path / "template"
    fork(template, COMMON, FIRST, SECOND)
    crash_at = 0
    done = False
    while not done:
        crash_at += 1
        root = tmp_path / "run"
        shutil.copytree(template, root)
        try:
            open_journal(settings(root, (0, 1)), door=CrashingDoor(crash_at, torn=True)).close()
            done = True
        except Crash:
            journal = open_journal(settings(root, (0, 1)))
            assert texts(journal) == COMMON + SECOND
            journal.close()
        everything = b"".join(kept(root)[0])
        assert all(text.encode() in everything for text in FIRST)
        shutil.rmtree(root)
    assert crash_at > 5


def test_a_damaged_copy_is_no_other_history(tmp_path):
    how = settings(tmp_path, (0, 1))
    write(Journal.create(SystemDoor(), how), *COMMON)
    path = tmp_path / "j0/0000000000000001.journal"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    journal = open_journal(how)
    assert texts(journal) == COMMON
    assert kept(tmp_path) == [[], []]
    assert [item.severity for item in journal.findings] == [Severity.warning]


def test_a_tail_that_the_catalog_has_applied_is_not_cut(tmp_path):
    """The index is lost: only the catalog knows that the damaged end was acknowledged."""
    how = settings(tmp_path, (0, 1))
    end = write(Journal.create(SystemDoor(), how), *COMMON)
    last = sorted((tmp_path / "j0").iterdir())[-1].name
    for copy in (0, 1):
        path = tmp_path / f"j{copy}" / last
        data = bytearray(path.read_bytes())
        data[-40] ^= 1
        path.write_bytes(data)
    before = [contents(tmp_path / f"j{copy}") for copy in (0, 1)]
    with pytest.raises(StoreError, match="entry 3 was acknowledged"):
        open_journal(how, None, end)
    assert [contents(tmp_path / f"j{copy}") for copy in (0, 1)] == before
    assert texts(open_journal(how)) == COMMON[:2]  # nobody knows of it any more


def test_what_the_other_history_acknowledged_in_containers_is_not_cut(tmp_path):
    how = make_settings(tmp_path, disks=2)
    store = create(how)
    store.append(0, records(1))
    store.append(1, records(2))
    store.commit()
    store.close()
    for number in (0, 1):
        (tmp_path / f"disk{1 - number}").rename(tmp_path / "away")
        shutil.rmtree(how.index_path)
        store = reopen(how)
        for seed in range(10 + 10 * number, 12 + 11 * number):
            store.append(number, records(seed, size=40_000))
            store.commit()
        store.close()
        (tmp_path / "away").rename(tmp_path / f"disk{1 - number}")
    sentences = " ".join(found.sentence for found in check_store(how, SystemDoor(), read_data=False).findings)
    assert "of another history than the other one" in sentences
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.container")}
    for _ in range(2):
        store = ChunkStore.open(how, SystemDoor(), now_ns)
        sentences = " ".join(found.sentence for found in store.recover(lambda key: True).findings)
        assert "until it is moved away nothing is cut" in sentences
        assert [read(store, seed) for seed in (1, 2)] == [make_record(1), make_record(2)]
        held = b"".join(path.read_bytes() for path in tmp_path.rglob("*.container*"))
        assert all(data in held for data in before.values())
        store.append(0, records(99))
        store.commit()
        store.close()
