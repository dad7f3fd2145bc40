"""The journal's disks come back from an older copy than the containers: what it does not acknowledge any more may have
been acknowledged, so none of it is destroyed."""

import shutil

import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import (
    Crash,
    PowerLossDoor,
    create,
    make_record,
    make_settings,
    now_ns,
    read,
    records,
    reopen,
)
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity
from vaultd.store.recovery.leftovers import has_kept

SIZE = 20_000  # three fit a container


def hash_of(data):
    return blake3(data).hexdigest(length=16)


def kept(path, before):
    return path.with_name(f"{path.name}.{hash_of(before[path])}.unacknowledged")


def bring_older_copy_back(root):
    for name in ("index", "disk0/journal"):
        shutil.rmtree(root / name)
        shutil.copytree(root / "older" / name, root / name)


@pytest.fixture
def older(tmp_path):
    """Settings of a store, and every byte of its containers; its journal and index know the first commit only."""
    settings = make_settings(tmp_path)
    store = create(settings)
    store.append(0, records(0, size=SIZE))
    store.commit()
    store.close()
    for name in ("index", "disk0/journal"):
        shutil.copytree(tmp_path / name, tmp_path / "older" / name)
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    store.recover(lambda key: True)
    for first in range(1, 10, 3):
        store.append(0, records(first, first + 1, first + 2, size=SIZE))
        store.commit()
    store.close()
    bring_older_copy_back(tmp_path)
    paths = sorted((tmp_path / "disk0/containers/0000").iterdir())
    return settings, {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize("with_index", [True, False])
def test_nothing_that_it_does_not_know_is_destroyed(older, with_index):
    settings, before = older
    if not with_index:
        shutil.rmtree(settings.index_path)
    assert len(before) > 2
    for start in range(2):  # what was kept stays kept
        store = ChunkStore.open(settings, SystemDoor(), now_ns)
        report = store.recover(lambda key: True)
        store.close()
        first, *others = before
        (tail,) = first.parent.glob(first.name + ".*.unacknowledged")
        assert first.read_bytes() + tail.read_bytes() == before[first]
        size = first.stat().st_size
        assert tail.name == f"{first.name}.{size:x}.{hash_of(before[first][size:])}.unacknowledged"
        for path in others:
            assert kept(path, before).read_bytes() == before[path]
        if start == 0:
            said = [finding.sentence for finding in report.findings if finding.severity is Severity.damage]
            assert any("older copy" in sentence for sentence in said)


@pytest.mark.parametrize("again", ["the older copy", "a new index"])
def test_what_was_kept_is_not_written_over_by_another_recovery(older, tmp_path, again):
    """The vault worked on, and then once more something is kept of containers with the same place."""
    settings, before = older
    reopen(settings).close()
    store = reopen(settings)  # goes on with the container whose tail was kept
    files = {path: path.read_bytes() for path in next(iter(before)).parent.glob("*.unacknowledged")}
    assert len(files) == len(before)
    store.append(0, records(*range(101, 108), size=SIZE))
    if again == "the older copy":
        store.commit()
    store.close()
    worked_on = next(iter(before)).parent.glob("*.container")
    assert not {path.name for path in worked_on} & {path.name for path in list(before)[1:]}, "a number was reused"
    if again == "the older copy":
        bring_older_copy_back(tmp_path)
    else:
        shutil.rmtree(settings.index_path)
    reopen(settings).close()
    assert {path: path.read_bytes() for path in files if path.exists()} == files
    assert len(list(next(iter(before)).parent.glob("*.unacknowledged"))) > len(files)


def test_the_same_bytes_are_kept_once_and_a_damaged_copy_of_them_is_not_enough(older):
    settings, before = older
    reopen(settings).close()
    for path, data in before.items():
        path.write_bytes(data)
    reopen(settings).close()
    directory = next(iter(before)).parent
    assert len(list(directory.glob("*.unacknowledged"))) == len(before)
    last = list(before)[-1]
    last.write_bytes(before[last])
    damaged = before[last][:-1] + b"?"
    kept(last, before).write_bytes(damaged)
    shutil.rmtree(settings.index_path)
    reopen(settings).close()
    assert kept(last, before).read_bytes() == before[last]
    assert kept(last, {last: damaged}).read_bytes() == damaged


def test_a_power_cut_while_it_is_kept_costs_nothing(older, tmp_path):
    """Also that the journal is old must be known until all is kept: the next start would remove the rest."""
    settings, before = older
    shutil.copytree(tmp_path, tmp_path.with_name("template"))
    first, *others = before
    done = False
    crash_at = 0
    while not done:
        crash_at += 1
        shutil.rmtree(tmp_path)
        shutil.copytree(tmp_path.with_name("template"), tmp_path)
        door = PowerLossDoor(list(settings.disk_paths), crash_at)
        try:
            reopen(settings, door).close()
            done = True
        except Crash:
            door.cut_power()
        reopen(settings).close()
        (tail,) = first.parent.glob(first.name + ".*.unacknowledged")
        assert first.read_bytes() + tail.read_bytes() == before[first]
        assert [kept(path, before).read_bytes() for path in others] == [before[path] for path in others]
        assert list(first.parent.glob("*.tmp")) == []
    assert crash_at > 10


def test_beside_another_history_even_a_container_that_nothing_vouches_for_is_kept(tmp_path):
    settings = make_settings(tmp_path)
    create(settings).close()
    (tmp_path / "disk0/journal/0000000000000001.journal.forked.0123").write_bytes(b"?")
    path = tmp_path / "disk0/containers/0000/000000000001.container"
    path.parent.mkdir()
    path.write_bytes(b"anything")
    reopen(settings).close()
    assert kept(path, {path: b"anything"}).read_bytes() == b"anything"


def test_a_process_that_was_killed_within_a_large_group_is_no_older_copy(tmp_path):
    """The group fills several containers, on both disks."""
    settings = make_settings(tmp_path, disks=2)
    store = create(settings)
    store.append(0, records(0, size=SIZE))
    store.commit()
    for disk in (0, 1):
        store.append(disk, records(*range(10 * disk + 1, 10 * disk + 11), size=SIZE))
    store.close()  # nothing of it was committed
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    assert store.recover(lambda key: True).findings == []
    assert list(tmp_path.rglob("*.unacknowledged")) == []
    assert read(store, 0) == make_record(0, SIZE)
    store.append(0, records(*range(1, 21), size=SIZE))
    store.commit()
    assert [read(store, number) for number in range(21)] == [make_record(number, SIZE) for number in range(21)]


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("groups", [1, 2])
def test_groups_that_the_journal_lacks_tell_that_it_is_older(tmp_path, known, groups):
    """No container is sealed: two groups are one more than a crash leaves, one may be just that."""
    settings = make_settings(tmp_path)
    store = create(settings)
    for number in range(known):
        store.append(0, records(number, size=100))
        store.commit()
    store.close()
    for name in ("index", "disk0/journal"):
        shutil.copytree(tmp_path / name, tmp_path / "older" / name)
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    store.recover(lambda key: True)
    for number in range(groups):
        store.append(0, records(10 + number, size=100))
        store.commit()
    store.close()
    bring_older_copy_back(tmp_path)
    (path,) = (tmp_path / "disk0/containers/0000").iterdir()
    stored = path.read_bytes()
    store = ChunkStore.open(settings, SystemDoor(), now_ns)
    damage = [item.place for item in store.recover(lambda key: True).findings if item.severity is Severity.damage]
    store.close()
    held = [found.read_bytes() for found in path.parent.glob("*.unacknowledged")]
    start = 8192 if known else 0
    assert (damage, held) == (([str(path)], [stored[start:]]) if groups == 2 else ([], []))


class Refusing(SystemDoor):
    def __init__(self, name):
        self.name = name

    def open_read(self, path):
        if path.name == self.name:
            raise OSError(5, "told to fail", str(path))
        return super().open_read(path)

    def listdir(self, path):
        if path.name == self.name:
            raise OSError(5, "told to fail", str(path))
        return super().listdir(path)


def test_an_unknown_container_that_the_disk_refuses_is_not_taken_for_torn(older):
    settings, before = older
    one = next(path for path in before if path.name == "000000000002.container")
    for path in before.keys() - {one}:
        if path.name != "000000000001.container":
            path.unlink()
    store = ChunkStore.open(settings, Refusing(one.name), now_ns)
    store.recover(lambda key: True)
    store.close()
    assert before[one] in [path.read_bytes() for path in one.parent.iterdir()]


def test_a_disk_that_does_not_say_whether_something_is_kept_counts_as_one_that_has(tmp_path):
    store = create(make_settings(tmp_path))
    assert not has_kept(SystemDoor(), store.disks)
    for name in ("journal", "containers"):
        assert has_kept(Refusing(name), store.disks)
    store.close()
