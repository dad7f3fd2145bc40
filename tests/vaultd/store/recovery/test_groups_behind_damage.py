"""Groups that an older journal does not know lie behind one that is damaged, or that the disk refuses: none is cut."""

import errno
import shutil

import pytest

from tests.vaultd.store.fakes import create, flip, make_record, make_settings, now_ns, records, reopen
from vaultd.store.chunk_store import ChunkStore
from vaultd.store.disk_door import SystemDoor

DISKS = 2
GROUPS = (2, 3, 4)


class BadSector(SystemDoor):
    """Every read that meets this byte of a container of the second disk fails."""

    def __init__(self, at):
        self.at = at

    def read(self, handle, offset, length):
        is_hit = handle.path.suffix == ".container" and "disk1" in handle.path.parts
        if is_hit and offset <= self.at < offset + length:
            raise OSError(errno.EIO, "told to fail", str(handle.path))
        return super().read(handle, offset, length)


@pytest.fixture(params=[True, False], ids=["known", "unknown"])
def grown(request, tmp_path):
    """Settings, the container of the second disk, and where in it what journal and index do not know begins: behind
    the first group, or the whole container."""
    settings = make_settings(tmp_path, disks=DISKS)
    names = ["index", *(f"disk{disk}/journal" for disk in range(DISKS))]
    store = create(settings)
    store.append(1 if request.param else 0, records(1))
    store.commit()
    store.close()
    for name in names:
        shutil.copytree(tmp_path / name, tmp_path / "older" / name)
    store = reopen(settings)
    directory = tmp_path / "disk1/containers/0000"
    start = next(directory.iterdir()).stat().st_size if request.param else 4096
    for seed in GROUPS:
        store.append(1, records(seed))
        store.commit()
    store.close()
    for name in names:
        shutil.rmtree(tmp_path / name)
        shutil.copytree(tmp_path / "older" / name, tmp_path / name)
    (path,) = directory.iterdir()
    return settings, path, start


def held(path):
    data = b"".join(one.read_bytes() for one in path.parent.iterdir())
    return [seed for seed in GROUPS if make_record(seed) in data]


def test_behind_one_that_the_disk_refuses(grown):
    settings, path, start = grown
    store = ChunkStore.open(settings, BadSector(start + 10), now_ns)
    store.recover(lambda key: True)
    store.close()
    assert held(path) == [2, 3, 4]


def test_behind_one_with_a_wrong_bit(grown):
    settings, path, start = grown
    flip(path, start + 45)
    reopen(settings).close()
    assert held(path) == [3, 4]
