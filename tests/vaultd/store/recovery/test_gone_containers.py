"""Only a file that is not on a disk that is here is gone."""

import errno

import pytest

from tests.vaultd.store.fakes import KEYRING, create, make_id, make_settings, records, reopen
from vaultd.store.disk_door import SystemDoor


class Refuses(SystemDoor):
    """Every look at a container of the second disk fails."""

    def exists(self, path):
        return not is_container(path) and super().exists(path)  # what `lexists` says then

    def size(self, path):
        self.refuse(path)
        return super().size(path)

    def open_read(self, path):
        self.refuse(path)
        return super().open_read(path)

    def refuse(self, path):
        if is_container(path):
            raise OSError(errno.EIO, "the disk is failing")


class Unmounts(Refuses):
    """The second disk goes away when its first container is looked for."""

    has_gone = False

    def exists(self, path):
        self.has_gone = self.has_gone or is_container(path)
        return not (self.has_gone and "disk1" in path.parts) and super().exists(path)

    def refuse(self, path):
        if self.has_gone and "disk1" in path.parts:
            raise FileNotFoundError(errno.ENOENT, "nothing is mounted", str(path))


def is_container(path):
    return "disk1" in path.parts and path.suffix == ".container"


@pytest.fixture
def settings(tmp_path):
    settings = make_settings(tmp_path, disks=2)
    store = create(settings)
    for seed in range(1, 5):  # the first of them are sealed
        store.append(1, records(seed, size=25_000))
        store.commit()
    store.close()
    return settings


def missing(settings, door=None):
    store = reopen(settings, door)
    try:
        return store.missing(KEYRING, [make_id(seed) for seed in range(1, 5)])
    finally:
        store.close()


def test_what_is_gone_is_missing(settings, tmp_path):
    first, *_ = sorted((tmp_path / "disk1").glob("containers/*/*.container"))
    first.unlink()
    assert missing(settings) == [True, True, False, False]


def test_one_that_the_disk_refuses_is_not_gone(settings):
    assert missing(settings, Refuses()) == [False] * 4


def test_one_whose_disk_went_away_is_not_gone(settings):
    assert missing(settings, Unmounts()) == [False] * 4
