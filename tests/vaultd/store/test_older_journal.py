"""The journal's disks come back from an older copy than the containers: what it does not acknowledge any more may have
been acknowledged, so none of it is destroyed."""

import shutil

import pytest
from blake3 import blake3

from tests.vaultd.store.fakes import Crash, create, make_settings, now_ns, records, reopen
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity

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


@pytest.mark.parametrize("renames", [1, 2])
def test_a_sealed_container_tells_it_until_all_others_are_kept(older, renames):
    """A process that is killed between two renames: the next start must still know that the journal is old."""
    settings, before = older
    with pytest.raises(Crash):
        reopen(settings, StoppingDoor(renames))
    reopen(settings).close()
    for path in list(before)[1:]:
        assert kept(path, before).read_bytes() == before[path]


class StoppingDoor(SystemDoor):
    """Ends the process after so many containers were renamed."""

    def __init__(self, renames):
        self.renames = renames

    def rename(self, old, new):
        super().rename(old, new)
        self.renames -= old.name.endswith(".container")
        if not self.renames:
            raise Crash
